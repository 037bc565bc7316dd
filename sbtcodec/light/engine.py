"""The engine of decoding on onnxruntime; see `sbtcodec.latents.engine`."""

from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.step_size import log_gains_of
from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE
from sbtcodec.grid import Box
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.light.estimate import Estimate
from sbtcodec.light.networks import RGB, LightNetworks
from sbtcodec.light.weights import Floats
from sbtcodec.models.symbol_model import SymbolModel
from sbtcodec.runtime import blas


class LightEngine:
    """One model without torch; float32.

    Attributes:
        symbols: what decides the symbols of its files.
    """

    def __init__(self, symbols: SymbolModel, networks: LightNetworks) -> None:
        """Put both halves of a model together."""
        self.symbols, self._networks = symbols, networks

    def inference(self) -> AbstractContextManager[None]:
        """For everything that decodes."""
        return blas.one_thread()

    def predict(
        self,
        levels: NDArray[np.int64],
        quality: int,
        tokens: Box,
        area: Box,
        *,
        alone: bool = False,
    ) -> Estimate:
        """What is known from global tokens alone; see `Engine`."""
        del quality  # which prediction does not depend on
        networks = self._networks.alone if alone else self._networks
        return networks.estimate(levels.transpose(2, 0, 1)[None], tokens, area)

    def reconstruct(self, estimate: Estimate, tiles: list[TileSymbols], layers: int) -> None:
        """Bring an estimate to what the symbols of its tiles say; see `Engine`."""
        for step in range(2 * layers):
            estimate.refine(step)
            for tile in tiles:
                self.add(estimate, tile, step)
        if layers < self.symbols.config.layers:
            estimate.refine(2 * layers)
        estimate.forget_features()

    def add(self, estimate: Estimate, tile: TileSymbols, step: int) -> None:
        """Apply the symbols that a tile holds of a step."""
        q = tile.q_of(self.symbols.config.group_slice(step // 2))
        estimate.add(step, q, self.gains(tile.quality), tile.latents)

    def gains(self, quality: int) -> Floats:
        """Inverse step sizes at a quality code, float32 [local_channels]."""
        nats = log_gains_of(self.symbols.gain_offsets[quality])
        gains: Floats = np.exp(nats).astype(np.float32)
        return gains

    def anchor_weights(self, quality: int) -> Floats:
        """What the networks see of a quality code: float32 [gain_anchors], summing to 1."""
        weights = self.symbols.integer_anchor_weights[quality] / ANCHOR_WEIGHT_ONE
        found: Floats = weights.astype(np.float32)
        return found

    def show(self, estimate: Estimate, quality: int, layers: int, latents: Box) -> RGB:
        """Pixels uint8 [16 h, 16 w, 3]; see `Engine`."""
        anchor_weights = self.anchor_weights(quality)
        networks = self._networks
        if estimate.config is networks.alone.config:
            networks = networks.alone
        return networks.synthesise(estimate.y_hat, anchor_weights, layers, latents)
