"""What is known of the local tokens of an area: predicted, then corrected by what is sent.

The counterpart of `sbtcodec.latents.estimate`, and the same steps in the same order.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import LATENTS_PER_TOKEN, Box, blocks
from sbtcodec.latents.bands import bands
from sbtcodec.latents.engine import spread_halo
from sbtcodec.light.attention import attend
from sbtcodec.light.session import Session
from sbtcodec.light.weights import Floats
from sbtcodec.tokenizer.config import TokenizerConfig

# What goes through the networks at once, for the sake of memory and of the processor's cache.
SPREAD_BLOCK = 64  # latents of the side of a block, for the predictor's convolutions

SessionOf = Callable[[str], Session]


class Estimate:
    """What is known of the local tokens of an area, from less and less prediction.

    Attributes:
        config: sizes of the networks that predict.
        area: the part of the picture, in latents; whole global tokens.
        y_hat: float32 [1, local_channels, H, W] of the area: what was sent, predicted elsewhere.
    """

    def __init__(
        self,
        config: TokenizerConfig,
        networks: SessionOf,
        levels: NDArray[np.int64],
        tokens: Box,
        area: Box,
    ) -> None:
        """Predict from the global tokens alone.

        Args:
            config: sizes of the model.
            networks: gives the network of a name.
            levels: int64 [1, dims, h, w] of `tokens`.
            tokens: the area, and around it what attention can see; whole windows.
            area: in latents.
        """
        self.config, self.area, self._networks = config, area, networks
        values = values_of(levels, config)
        own = area.over(LATENTS_PER_TOKEN).seen_from(tokens)
        layers = config.predictor_attention
        attended = attend(networks("attend"), config, layers, own, {"values": values})
        self._features = _planes(config.widths[2], area)
        self.y_hat = _planes(config.local_channels, area)
        self.y_hat[:, config.coarse_channels :] = 0  # fine channels are not predicted
        coarse = self.y_hat[:, : config.coarse_channels]
        whole = Box(0, 0, area.height, area.width)
        halo = spread_halo(config.predictor_depth)
        for block in blocks(whole, SPREAD_BLOCK):
            seen = block.grown(halo, whole)
            part, inside = seen.over(LATENTS_PER_TOKEN), block.seen_from(seen)
            found = networks("spread")(attended=attended[:, :, part.rows, part.columns])
            for planes, made in zip((self._features, coarse), found, strict=True):
                planes[:, :, block.rows, block.columns] = made[:, :, inside.rows, inside.columns]

    def refine(self, step: int) -> None:
        """Correct the prediction of what is not known yet, before `step` (2 * layer + parity).

        Fine channels are not predicted: for their steps this does nothing.
        """
        config = self.config
        if not 0 <= step < 2 * config.coarse_layers:
            return
        group, parity = divmod(step, 2)
        channels = config.group_slice(group)
        mine = channels.stop - channels.start
        network = self._networks(f"refine{step}")
        coarse = self.y_hat[:, : config.coarse_channels]
        reach = config.refine_depth  # latents that it can see around a latent
        above = coarse[:, :, :0]  # the last rows of the band before, as they were
        for rows, inside in bands(self.area, reach):
            own = slice(rows.start + inside.start, rows.start + inside.stop)
            y_hat = coarse[:, :, own.start : rows.stop]
            if above.size:
                y_hat = np.concatenate([above, y_hat], 2)
            delta = network(features=self._features[:, :, rows], y_hat=y_hat)[0][:, :, inside]
            if parity == 1:
                for row in (0, 1):  # what was sent in the step before stays
                    known = (own.start + row) % 2
                    delta[:, :mine, row::2, known::2] = 0
            above = coarse[:, :, own.stop - reach : own.stop].copy()
            coarse[:, channels.start :, own] += delta

    def forget_features(self) -> None:
        """Give back what refining needs: nothing follows."""
        self._features = np.empty(0, np.float32)

    def residual(self, step: int, y: Floats, gains: Floats, latents: Box) -> Floats:
        """What is to be sent in a step, in steps of quantisation.

        Args:
            step: 2 * layer + parity.
            y: as it is sent, float32 [1, local_channels, H, W] of the area.
            gains: inverse step sizes, float32 [local_channels].
            latents: of which part, in the picture; inside of the area.

        Returns:
            float32 [n], latent by latent, all channels of the layer for each; parity 0 holds the
            upper left one.
        """
        group, parity = divmod(step, 2)
        channels, at = self.config.group_slice(group), latents.seen_from(self.area)
        part = np.s_[0, channels, at.rows, at.columns]
        r = (y[part] - self.y_hat[part]) * gains[channels, None, None]
        places = np.indices((latents.height, latents.width)).sum(0) % 2 == parity
        chosen: Floats = r.transpose(1, 2, 0)[places].reshape(-1)
        return chosen

    def add(
        self,
        step: int,
        symbols: NDArray[np.integer],
        gains: Floats,
        latents: Box | None = None,
    ) -> None:
        """Apply the symbols of a step.

        Args:
            step: 2 * layer + parity.
            symbols: integers [height, width, C] of `latents`, C the channels of the layer. Those
                at places of the other parity are not looked at; parity 0 holds the upper left one.
            gains: inverse step sizes, float32 [local_channels].
            latents: which they are of, in the picture, such as a tile; may reach beyond the area.
                The area without it.
        """
        latents = self.area if latents is None else latents
        group, parity = divmod(step, 2)
        channels = self.config.group_slice(group)
        shared = self.area.cut(latents)
        at, inside = shared.seen_from(self.area), shared.seen_from(latents)
        mine = self.y_hat[0, channels, at.rows, at.columns]
        q = symbols[inside.rows, inside.columns].transpose(2, 0, 1)
        steps = (1 / gains[channels])[:, None, None]
        for row in (0, 1):
            first = (parity + row + inside.top + inside.left) % 2
            places = np.s_[:, row::2, first::2]
            mine[places] += q[places].astype(np.float32) * steps


def values_of(levels: NDArray[np.int64], config: TokenizerConfig) -> Floats:
    """Centres of the bins of levels int64 [1, dims, h, w]: float32 in (-1, 1)."""
    counts = np.array(config.levels, np.float32).reshape(1, -1, 1, 1)
    values: Floats = (2 * levels.astype(np.float32) + 1) / counts - 1
    return values


def _planes(channels: int, latents: Box) -> Floats:
    return np.empty((1, channels, latents.height, latents.width), np.float32)
