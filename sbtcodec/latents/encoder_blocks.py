"""The encoder's networks among pixels and local tokens, block by block.

Of a large picture, what they give to each other is there for a few rows at a time.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.grid import LATENT_STRIDE, LATENTS_PER_TOKEN, Box
from sbtcodec.image.padding import pixels_in
from sbtcodec.latents.bands import Passing, block_rows
from sbtcodec.latents.estimate import floats, stored_in
from sbtcodec.runtime.memory import give_back
from sbtcodec.tokenizer.config import ADAPTER_DEPTH
from sbtcodec.tokenizer.layers import pixel_rows, planes, room
from sbtcodec.tokenizer.model import Tokenizer

# Sides, in latents, of what networks take at once: the more fits the processor's cache, the faster,
# but the more is computed twice around it.
COARSE_BLOCK = 80  # layers at stride 16
FINE_BLOCK = 48  # layers at strides 8 and 4

PartOf = Callable[[slice, slice], Tensor]
"""Gives rows and columns of planes, float [1, C, h, w]."""

ALL = slice(None)
joined = partial(torch.cat, dim=2)  # bands of rows


def part_of_planes(planes: Tensor) -> PartOf:
    """Of planes [1, C, H, W] that are there."""
    return lambda rows, columns: planes[:, :, rows, columns]


class EncoderBlocks:
    """What the encoder computes with floats, but for its attention; called without gradients."""

    def __init__(self, tokenizer: Tokenizer, device: torch.device, *, bf16: bool) -> None:
        """Take the float networks, on `device`, to be run in bfloat16 or not."""
        self.tokenizer, self.device, self.bf16 = tokenizer, device, bf16

    def local_tokens(self, rgb: NDArray[np.uint8], latents: Box) -> Tensor:
        """Local tokens float32 [1, local_channels, H, W] of uint8 [height, width, 3]."""
        encoder = self.tokenizer.encoders[0]
        features = Passing(self._fine_features(rgb, latents), joined)
        made = room(self.tokenizer.config.local_channels, latents, self.device)
        self._coarsely(encoder.coarse, encoder.coarse_reach, [features.part], made)
        return made

    def _fine_features(self, rgb: NDArray[np.uint8], latents: Box) -> Iterator[Tensor]:
        """What the local encoder makes at strides 4 and 8, band by band: float [1, C, h, W]."""
        encoder, config = self.tokenizer.encoders[0], self.tokenizer.config
        channels = config.widths[2] + config.fine_channels
        for row in block_rows(latents, FINE_BLOCK):
            band = Box(row[0].top, 0, row[0].bottom, latents.width)
            features = room(channels, band, self.device, stored_in(bf16=self.bf16))
            for block in row:
                seen = block.grown(encoder.fine_reach, latents)
                x = planes(pixels_in(rgb, seen.times(LATENT_STRIDE)), self.device)
                with floats(self.device, bf16=self.bf16):
                    h = encoder.fine(x, block.seen_from(seen))
                features[:, :, :, block.columns] = h
            yield features

    def adapted(
        self, network: Callable[..., Tensor], y: Tensor, y_hat: PartOf, *, overwrite: bool
    ) -> Tensor:
        """Local tokens as they are sent, float32 [1, local_channels, H, W].

        Args:
            network: the adapter at a quality, from parts of both.
            y: of `local_tokens`.
            y_hat: predicted.
            overwrite: give them in the memory of `y`.
        """
        made = y if overwrite else torch.empty_like(y)
        before = Passing(_before_writing(y), joined)
        self._coarsely(network, ADAPTER_DEPTH, [before.part, y_hat], made)
        return made

    def _coarsely(
        self, network: Callable[..., Tensor], reach: int, given: list[PartOf], made: Tensor
    ) -> None:
        """Let a network at stride 16 make local tokens, block by block.

        Args:
            network: from parts of what is given to float [1, local_channels, h, w].
            reach: latents that it can see around a latent.
            given: its inputs, asked for from the top down.
            made: float32 [1, local_channels, H, W], of which a row of blocks is written at once.
        """
        latents = Box(0, 0, *made.shape[2:])
        for row in block_rows(latents, COARSE_BLOCK):
            strip = room(
                made.shape[1], Box(row[0].top, 0, row[0].bottom, latents.width), self.device
            )
            for block in row:
                seen = block.grown(reach, latents)
                inside = block.seen_from(seen)
                with floats(self.device, bf16=self.bf16):
                    parts = (part_of(seen.rows, seen.columns) for part_of in given)
                    h = network(*(pixel_rows(part).float() for part in parts))
                strip[:, :, :, block.columns] = h[:, :, inside.rows, inside.columns]
                give_back()
            made[:, :, row[0].rows] = strip

    def pooled(self, network: Callable[..., Tensor], latents: Box, *given: PartOf) -> Tensor:
        """What a network makes of latents for each global token, band by band.

        Args:
            network: from rows of what is given to float [1, d, h, w]; it sees at most
                LATENTS_PER_TOKEN latents around a token.
            latents: all of them.
            given: its inputs.
        """
        pooled = []
        for top in range(0, latents.height, COARSE_BLOCK):
            band = Box(top, 0, min(top + COARSE_BLOCK, latents.height), latents.width)
            seen = band.grown(LATENTS_PER_TOKEN, latents)
            inside = band.seen_from(seen).over(LATENTS_PER_TOKEN)
            with floats(self.device, bf16=self.bf16):
                made = network(*(part_of(seen.rows, ALL) for part_of in given))
            pooled.append(made[:, :, inside.rows])
            give_back()
        return torch.cat(pooled, 2)


def _before_writing(y: Tensor) -> Iterator[Tensor]:
    """Bands of what `_coarsely` overwrites; copied is what it asks for again afterwards."""
    for row in block_rows(Box(0, 0, *y.shape[2:]), COARSE_BLOCK):
        last = max(row[0].top, row[0].bottom - ADAPTER_DEPTH)
        yield y[:, :, row[0].top : last]
        yield y[:, :, last : row[0].bottom].clone()
