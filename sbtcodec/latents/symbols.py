"""The integers of one tile, and the distributions they are coded under, in coding order.

Encoder and decoder both go through here, with a function that puts symbols or one that gets them,
so what selects a probability cannot differ between the two. Only integers come in, and the integer
networks run on the CPU, exactly.
Letters: H W are rows and columns of the tile's latents, h w of its global tokens.
"""

import zlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.entropy.coder import Indices, Symbols
from sbtcodec.entropy.entropy_parameters import table_index
from sbtcodec.entropy.frequencies import Frequencies, from_logits
from sbtcodec.entropy.prior import SUBGRIDS, centred, subgrid
from sbtcodec.grid import LATENTS_PER_TOKEN, Box
from sbtcodec.models.release import Release
from sbtcodec.runtime.modes import CPU
from sbtcodec.tokenizer.bootstrap import checkerboard
from sbtcodec.tokenizer.layers import pixel_rows

LevelCoding = Callable[[Frequencies, Symbols], Symbols]
"""Puts or gets levels int32 [n] under frequencies [n, K]; shown what the tile holds so far."""


class TileSymbols:
    """The symbols of one tile at one quality.

    Attributes:
        tokens: where the tile's global tokens are in the picture.
        latents: where its local tokens are.
        levels: int64 [1, dims, h, w], levels of the global tokens.
        q: int16 [H, W, local_channels], detail symbols; 0 where nothing is sent.
        crc: the check of what was read of it so far.
    """

    def __init__(self, release: Release, quality: int, tokens: Box) -> None:
        """A tile without symbols; `quality` is a code, 0..255."""
        self.release, self.quality, self.tokens = release, quality, tokens
        self.latents = tokens.times(LATENTS_PER_TOKEN)
        self.config = release.model.tokenizer.config
        dims, channels = len(self.config.levels), self.config.local_channels
        self.levels = torch.zeros(
            1, dims, tokens.height, tokens.width, dtype=torch.int64, device=CPU
        )
        self.q = np.zeros((self.latents.height, self.latents.width, channels), dtype=np.int16)
        self.crc = 0
        self.features = self.seen = torch.zeros(0, dtype=torch.uint8, device=CPU)

    def code_levels(self, code: LevelCoding) -> None:
        """Code the global tokens: four sub-grids, level by level.

        When encoding, `levels` holds them already, and `code` gives back what it is shown.
        """
        prior, counts = self.release.model.prior, self.config.levels
        height, width = self.tokens.height, self.tokens.width
        known = torch.zeros(1, 1, height, width, dtype=torch.bool, device=CPU)
        for index in range(len(SUBGRIDS)):
            mask = subgrid(height, width, index, CPU)
            at = torch.nonzero(mask[0, 0], as_tuple=True)
            if len(at[0]):
                z = pixel_rows(centred(self.levels, counts).float())
                features = prior.context(z, known, mask[0, 0])
                shape = 1, len(counts), len(at[0]), 1
                here = torch.zeros(shape, dtype=torch.float32, device=CPU)
                for dim, count in enumerate(counts):
                    logits = prior.logits(features, here, dim)
                    rows = logits[0, :, :, 0].T.numpy().astype(np.int64)
                    assert rows.shape[1] == count
                    chosen = self.levels[0, dim, at[0], at[1]].numpy().astype(np.int32)
                    got = code(from_logits(rows, self.release.octaves), chosen)
                    level = torch.from_numpy(got.astype(np.int64))
                    self.levels[0, dim, at[0], at[1]] = level
                    here[:, dim : dim + 1] = centred(level.view(1, 1, -1, 1), (count,))
            known = known | mask

    def prepare_details(self) -> None:
        """Compute what all detail steps share, from the global tokens."""
        z = pixel_rows(centred(self.levels, self.config.levels).float())
        features = self.release.model.scales.features(z)
        # kept small, as activations and magnitudes are: tiles of a large picture add up
        self.features = _rows(features).to(torch.uint8)
        kind = torch.int16 if self.release.model.scales.signs else torch.uint8
        self.seen = torch.zeros(self.q.shape, dtype=kind, device=CPU)
        anchor_weights = torch.from_numpy(self.release.integer_anchor_weights[self.quality])
        # as the products want them, and laid out like all that they are put beside
        self.anchor_weights = _planes(
            anchor_weights.double().expand(*self.q.shape[:2], -1).contiguous()
        )
        offsets = self.release.gain_offsets[self.quality]
        self.offsets = torch.from_numpy(offsets).float()

    def places(self, step: int) -> NDArray[np.bool_]:
        """bool [H, W]: the latents whose symbols `step` codes; a step is 2 * layer + parity."""
        board = checkerboard(self.latents.height, self.latents.width, step % 2, CPU)
        found: NDArray[np.bool_] = board[0, 0].numpy()
        return found

    def tables(self, step: int) -> Indices:
        """Indices uint8 [n] of the distributions of the symbols of `step`.

        Latent by latent, row by row, all channels of the layer for each.
        """
        channels = self.config.group_slice(step // 2)
        scales = self.release.model.scales
        total = scales.sums(
            step,
            _planes(self.features),
            self.anchor_weights,
            _planes(self.seen[:, :, : scales.seen[step]]),
            torch.from_numpy(self.places(step)),
        )
        offsets = self.offsets[channels, None, None]
        index = _rows(table_index(total, offsets, scales.shapes))
        return index.numpy().astype(np.uint8).reshape(-1)

    def put(self, step: int, symbols: Symbols) -> None:
        """Take the symbols int32 [n] of `step`, in the order of `tables`."""
        channels = self.config.group_slice(step // 2)
        places = self.places(step)
        values = symbols.reshape(-1, channels.stop - channels.start)
        self.q[places, channels] = values
        seen = self.release.model.scales.seen_of(torch.from_numpy(values))
        self.seen[torch.from_numpy(places), channels] = seen.to(self.seen.dtype)

    def symbols(self, step: int) -> Symbols:
        """The symbols int32 [n] of `step`, in the order of `tables`."""
        q = self.q[:, :, self.config.group_slice(step // 2)]
        return q[self.places(step)].astype(np.int32).reshape(-1)

    def has_details(self, group: int) -> bool:
        """Whether detail layer `group` (0-based) holds anything but zeros."""
        return bool(self.q[:, :, self.config.group_slice(group)].any())

    def check(self, layer: int, before: int) -> int:
        """The CRC-32 of what came before, gone on with the symbols of a layer, 0 the base layer."""
        if layer == 0:
            return zlib.crc32(self.levels.numpy().astype(np.uint8).tobytes(), before)
        q = self.q[:, :, self.config.group_slice(layer - 1)]
        return zlib.crc32(np.ascontiguousarray(q).astype("<i2").tobytes(), before)


def _rows(t: Tensor) -> Tensor:
    """[1, C, H, W] -> [H, W, C], a view."""
    return t[0].permute(1, 2, 0)


def _planes(t: Tensor) -> Tensor:
    """[H, W, C] -> [1, C, H, W], a view: channels_last."""
    return t.permute(2, 0, 1)[None]
