"""The engine of encoding on onnxruntime; see `sbtcodec.latents.engine`."""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import LATENTS_PER_TOKEN, Box
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.light.encoding import EncodingNetworks
from sbtcodec.light.engine import LightEngine
from sbtcodec.light.estimate import Estimate
from sbtcodec.light.networks import RGB
from sbtcodec.light.weights import Floats
from sbtcodec.models.prices import Prices
from sbtcodec.models.symbol_model import SymbolModel


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

    def adapted(self, y: Floats, estimate: Estimate, quality: int, *, last: bool) -> Floats:
        """Local tokens as they are sent at a quality code."""
        del last  # they are made beside the old ones
        told, gains = self.anchor_weights(quality), self.gains(quality)
        return self._encoding.adapted(y, estimate, told, gains)

    def refine(self, estimate: Estimate, step: int) -> None:
        """Correct the prediction before a step."""
        estimate.refine(step)

    def residual(self, estimate: Estimate, y: Floats, tile: TileSymbols, step: int) -> Floats:
        """What is to be sent of a tile in a step, float32 [n]."""
        return estimate.residual(step, y, self.gains(tile.quality), tile.latents)
