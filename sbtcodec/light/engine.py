"""The engines of decoding and encoding on onnxruntime; see `sbtcodec.latents.engine`."""

from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.step_size import log_gains_of
from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE
from sbtcodec.grid import LATENTS_PER_TOKEN, Box
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.light.encoding import EncodingNetworks
from sbtcodec.light.estimate import Estimate
from sbtcodec.light.networks import RGB, LightNetworks
from sbtcodec.light.weights import Floats
from sbtcodec.models.prices import Prices
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

    def predict(self, levels: NDArray[np.int64], quality: int, tokens: Box, area: Box) -> Estimate:
        """What is known from global tokens alone; see `Engine`."""
        del quality  # which prediction does not depend on
        return self._networks.estimate(levels.transpose(2, 0, 1)[None], tokens, area)

    def reconstruct(self, estimate: Estimate, tiles: list[TileSymbols], layers: int) -> None:
        """Bring an estimate to what the symbols of its tiles say; see `Engine`."""
        for step in range(2 * layers):
            estimate.refine(step)
            for tile in tiles:
                self.add(estimate, tile, step)
        if layers < self.symbols.config.layers:
            estimate.refine(2 * layers)

    def add(self, estimate: Estimate, tile: TileSymbols, step: int) -> None:
        """Apply the symbols that a tile holds of a step."""
        q = tile.q[:, :, self.symbols.config.group_slice(step // 2)]
        estimate.add(step, q, self.gains(tile.quality), tile.latents)

    def gains(self, quality: int) -> Floats:
        """Inverse step sizes at a quality code, float32 [local_channels]."""
        return np.exp(log_gains_of(self.symbols.gain_offsets[quality])).astype(np.float32)

    def anchor_weights(self, quality: int) -> Floats:
        """What the networks see of a quality code: float32 [gain_anchors], summing to 1."""
        weights = self.symbols.integer_anchor_weights[quality] / ANCHOR_WEIGHT_ONE
        return weights.astype(np.float32)

    def show(self, estimate: Estimate, quality: int, layers: int, latents: Box) -> RGB:
        """Pixels uint8 [16 h, 16 w, 3]; see `Engine`."""
        anchor_weights = self.anchor_weights(quality)
        return self._networks.synthesise(estimate.y_hat, anchor_weights, layers, latents)


class LightEncodingEngine(LightEngine):
    """One model that also encodes; float32. See `EncodingEngine`.

    Attributes:
        prices: what its errors and bits are worth to each other.
    """

    def __init__(self, symbols: SymbolModel, networks: EncodingNetworks, prices: Prices) -> None:
        """Put the parts of a model together."""
        super().__init__(symbols, networks)
        self._encoding, self.prices = networks, prices

    def analyse(self, rgb: RGB) -> tuple[Floats, Floats]:
        """Local tokens, and global ones before they are quantised."""
        with self.inference():
            y = self._encoding.local_tokens(rgb)
            return y, self._encoding.global_tokens(y)

    def levels(self, z: Floats) -> NDArray[np.int64]:
        """What global tokens are quantised to."""
        return self._encoding.levels(z)

    def fitted_levels(self, y: Floats, z: Floats, steps: int) -> NDArray[np.int64]:
        """Levels of global tokens adapted to what they predict."""
        whole = Box(0, 0, *z.shape[2:])
        levels = self.levels(z)
        for step in range(steps):
            adapter = self.symbols.config.token_adapter_of(step)
            if not adapter:
                break
            estimate = self._encoding.estimate(levels, whole, whole.times(LATENTS_PER_TOKEN))
            z = self._encoding.moved(adapter, y, estimate.y_hat, z)
            levels = self.levels(z)
        return levels

    def adapted(self, y: Floats, estimate: Estimate, quality: int) -> Floats:
        """Local tokens as they are sent at a quality code."""
        told, gains = self.anchor_weights(quality), self.gains(quality)
        return self._encoding.adapted(y, estimate, told, gains)

    def refine(self, estimate: Estimate, step: int) -> None:
        """Correct the prediction before a step."""
        estimate.refine(step)

    def residual(self, estimate: Estimate, y: Floats, tile: TileSymbols, step: int) -> Floats:
        """What is to be sent of a tile in a step, float32 [n]."""
        return estimate.residual(step, y, self.gains(tile.quality), tile.latents)
