"""The float side of a file: local tokens predicted from global ones, and corrected by what is sent.

Nothing here selects a probability; floats may be rounded differently elsewhere, and then move a
pixel by a hair. Large pictures go through the networks in bands of rows, with enough rows around
each that the result is that of the whole.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.entropy.coder import Symbols
from sbtcodec.grid import LATENTS_PER_TOKEN, Box, blocks
from sbtcodec.latents.bands import bands
from sbtcodec.latents.engine import spread_halo
from sbtcodec.models.release import Release
from sbtcodec.runtime.memory import give_back
from sbtcodec.runtime.modes import CPU
from sbtcodec.tokenizer.bootstrap import checkerboard, padded
from sbtcodec.tokenizer.layers import joined, pixel_rows, room
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.tokenizer.predictor import Predictor

# What goes through the networks at once should fit the processor's cache.
SPREAD_BLOCK = 64  # latents of the side of a block, for the predictor's convolutions


def floats(device: torch.device, *, bf16: bool) -> torch.autocast:
    """The precision in which float networks run."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def stored_in(*, bf16: bool) -> torch.dtype:
    """The precision that holds what float networks give to each other."""
    return torch.bfloat16 if bf16 else torch.float32


class Estimate:
    """What is known of the local tokens of an area, from less and less prediction.

    Attributes:
        area: the part of the picture, in latents; whole tokens.
        features: of the predictor, float [1, widths[2], H, W] in the precision of the networks.
        coarse: float32 [1, coarse_channels, H, W] of the area: what was sent, predicted elsewhere.
        fine: the same of the fine channels, where nothing is predicted; None before any is sent.
    """

    def __init__(
        self,
        release: Release,
        networks: Tokenizer | Predictor,
        quality: int,
        levels: Tensor,
        tokens: Box,
        area: Box,
        device: torch.device,
        *,
        bf16: bool,
    ) -> None:
        """Predict from the global tokens alone.

        Args:
            release: the model.
            networks: its float networks, on `device`, or those of a predictor of pictures of
                global tokens alone: then nothing can be added.
            quality: code, 0..255.
            levels: int64 [1, dims, h, w] of `tokens`.
            tokens: the area, and around it what attention can see; whole windows.
            area: in latents.
            device: where the float networks run.
            bf16: run them in bfloat16.
        """
        self.networks, self.area, self.bf16 = networks, area, bf16
        self.gains = release.gains(quality)[None, :, None, None].to(device)
        self.fine_channels = release.model.config.tokenizer.fine_channels
        self.device = device
        predictor = self.networks.predictor
        with floats(device, bf16=bf16):
            z = self.networks.fsq.to_values(levels.to(device).float())
            own = area.over(LATENTS_PER_TOKEN).seen_from(tokens)
            attended = predictor.attend(pixel_rows(z))[:, :, own.rows, own.columns]
            config = self.networks.config
            give_back()
            self.features = room(config.widths[2], area, device, stored_in(bf16=bf16))
            self.coarse = room(config.coarse_channels, area, device)
            self.fine: Tensor | None = None
            whole, halo = Box(0, 0, area.height, area.width), spread_halo(config.predictor_depth)
            for block in blocks(whole, SPREAD_BLOCK):
                seen = block.grown(halo, whole)
                part, inside = seen.over(LATENTS_PER_TOKEN), block.seen_from(seen)
                found = predictor.spread_out(pixel_rows(attended[:, :, part.rows, part.columns]))
                for planes, made in zip((self.features, self.coarse), found, strict=True):
                    shown = made[:, : planes.shape[1], inside.rows, inside.columns]
                    planes[:, :, block.rows, block.columns] = shown
        give_back()

    @property
    def y_hat(self) -> Tensor:
        """Both together, float32 [1, local_channels, H, W], a copy."""
        return self.y_hat_in(slice(None))

    def y_hat_in(self, rows: slice, columns: slice = slice(None)) -> Tensor:
        """Both together in a part of the area, float32 [1, local_channels, h, w], a copy."""
        coarse = self.coarse[:, :, rows, columns]
        if self.fine is None:
            return pixel_rows(padded(coarse, self.fine_channels))
        return pixel_rows(torch.cat([coarse, self.fine[:, :, rows, columns]], 1))

    def refine(self, step: int) -> None:
        """Correct the prediction of what is not known yet, before `step` (2 * layer + parity).

        Fine channels are not predicted: before their steps, what refining needs is given back.
        """
        if step >= len(self.networks.refiners):
            self.forget_features()
            return
        group, parity = divmod(step, 2)
        channels = self.networks.config.group_slice(group)
        mine = channels.stop - channels.start
        refine = self.networks.refiners[step]
        above = self.coarse[:, :, :0]  # the last rows of the band before, as they were
        reach = self.networks.config.refine_depth  # latents that it can see around a latent
        for rows, inside in bands(self.area, reach):
            own = slice(rows.start + inside.start, rows.start + inside.stop)
            y_hat = joined(above, self.coarse[:, :, own.start : rows.stop])
            with floats(self.device, bf16=self.bf16):
                delta = refine(self.features[:, :, rows], y_hat).float()
            delta = delta[:, : self.coarse.shape[1] - channels.start, inside]
            if parity == 1:
                board = checkerboard(
                    delta.shape[2], delta.shape[3], 1 - own.start % 2, delta.device
                )
                delta[:, :mine] *= board
            above = self.coarse[:, :, own.stop - reach : own.stop].clone()
            self.coarse[:, channels.start :, own] += delta

    def forget_features(self) -> None:
        """Give back what refining needs: nothing follows."""
        self.features = self.features.new_empty(0)
        give_back()

    def residual(self, y: Tensor, latents: Box, step: int) -> NDArray[np.float32]:
        """What is to be sent of one tile in `step`, in steps: float32 [n].

        Args:
            y: local tokens float32 [1, local_channels, H, W] of the area.
            latents: the tile, in the picture.
            step: 2 * layer + parity.
        """
        at, channels = self._at(latents, step)
        shown = self.area.cut(latents)
        parity = (step + shown.top + shown.left) % 2
        places = checkerboard(shown.height, shown.width, parity, self.device)[0, 0]
        r = y[:, channels, at.rows, at.columns]
        if channels.start < self.coarse.shape[1] or self.fine is not None:
            r = r - self._mine(at, channels)
        r = r * self.gains[:, channels]
        chosen: NDArray[np.float32] = r[0].permute(1, 2, 0)[places].flatten().cpu().numpy()
        return chosen

    def add(self, latents: Box, step: int, symbols: Symbols) -> None:
        """Apply the symbols int32 [n] of one tile, which may reach beyond the area."""
        at, channels = self._at(latents, step)
        width = channels.stop - channels.start
        board = checkerboard(latents.height, latents.width, step % 2, CPU)[0, 0]
        whole = torch.zeros(latents.height, latents.width, width, dtype=torch.float32, device=CPU)
        whole[board] = torch.from_numpy(symbols.reshape(-1, width)).float()
        inside = self.area.cut(latents).seen_from(latents)
        q = whole[inside.rows, inside.columns].to(self.device)
        mine = self._mine(at, channels)[0].permute(1, 2, 0)
        mine += q * (1 / self.gains[0, channels, 0, 0])

    def _at(self, latents: Box, step: int) -> tuple[Box, slice]:
        """Where a tile is in the area, and the channels of a step."""
        channels = self.networks.config.group_slice(step // 2)
        return self.area.cut(latents).seen_from(self.area), channels

    def _mine(self, at: Box, channels: slice) -> Tensor:
        """The channels of a detail layer; from now on there are fine ones if they are asked for."""
        first = self.coarse.shape[1]
        if channels.start < first:
            return self.coarse[:, channels, at.rows, at.columns]
        if self.fine is None:
            area = Box(0, 0, self.area.height, self.area.width)
            self.fine = room(self.fine_channels, area, self.device).zero_()
        fine = slice(channels.start - first, channels.stop - first)
        return self.fine[:, fine, at.rows, at.columns]
