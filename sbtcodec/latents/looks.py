"""The networks of a model with a look: the same symbols, and pixels of another decoder.

With a realism between 0 and 1, the pixels of both decoders are mixed. Symbols are read, and added
to the prediction, as without a look: what differs comes after the last of them, or is the
prediction of a file that has none.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import Box
from sbtcodec.latents.blocks import RGB, Networks, kept_in_bfloat16
from sbtcodec.latents.estimate import Estimate
from sbtcodec.latents.showing import Shown, pixels_of
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.models.symbol_model import SymbolModel
from sbtcodec.runtime import modes
from sbtcodec.tokenizer.look import Look


@dataclass
class Estimates:
    """What is known of local tokens, for each decoder.

    Attributes:
        faithful: for the model's own.
        vivid: for that of the look; the same object unless this has predicted in its own way.
    """

    faithful: Estimate
    vivid: Estimate


class LookNetworks:
    """An engine (`sbtcodec.latents.engine.Engine`) that shows files with a look.

    Attributes:
        networks: of the model.
        look: on their device, in their precision.
        realism: share of the look's pixels, above 0 and at most 1.
    """

    def __init__(self, networks: Networks, look: Look, realism: float) -> None:
        """Put them together; `look` is float32 and on the device of the networks."""
        self.networks, self.realism = networks, realism
        with modes.construction():
            self.look = kept_in_bfloat16(look) if networks.bf16 else look

    @property
    def symbols(self) -> SymbolModel:
        """What decides the symbols of its files."""
        return self.networks.symbols

    def inference(self) -> AbstractContextManager[None]:
        """For everything that decodes."""
        return self.networks.inference()

    def predict(
        self,
        levels: NDArray[np.int64],
        quality: int,
        tokens: Box,
        area: Box,
        *,
        alone: bool = False,
    ) -> Estimates:
        """What is known from global tokens alone; see `Engine`."""
        own = self.look.predictor if alone else None
        vivid = faithful = self.networks.predict(levels, quality, tokens, area, predictor=own)
        others = own is not None or self.networks.tokenizer.alone is not None
        if alone and others and self.realism < 1:
            faithful = self.networks.predict(levels, quality, tokens, area, alone=True)
        return Estimates(faithful, vivid)

    def reconstruct(self, estimate: Estimates, tiles: list[TileSymbols], layers: int) -> None:
        """Bring the estimates to what the symbols of their tiles say; see `Engine`."""
        self.networks.reconstruct(estimate.faithful, tiles, layers)
        if estimate.vivid is not estimate.faithful:
            self.networks.reconstruct(estimate.vivid, tiles, layers)

    def show(self, estimate: Estimates, quality: int, layers: int, latents: Box) -> RGB:
        """Pixels uint8 [16 h, 16 w, 3]; see `Engine`."""
        parts = [Shown(self.look.decoder, estimate.vivid, self.realism)]
        if self.realism < 1:
            decoder = self.networks.decoder_of(estimate.faithful)
            parts.append(Shown(decoder, estimate.faithful, 1 - self.realism))
        anchor_weights = self.networks.release.anchor_weights(quality)
        return pixels_of(parts, anchor_weights, layers, latents, bf16=self.networks.bf16)
