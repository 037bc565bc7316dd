"""What decoding asks of an engine, the part that runs float networks: torch, or onnxruntime.

What selects a probability is none of its business.
"""

from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import Box
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.models.symbol_model import SymbolModel

HALO = 8  # latents that the decoder can see around a latent
SPREAD_HALO = 4  # latents that the predictor's convolutions can see around a block, and more
ATTENTION_HALO = 24  # tokens that the predictor's attention can see beyond an area, and more

E = TypeVar("E")
"""What an engine knows of local tokens."""


class Engine(Protocol[E]):
    """The float networks of one model."""

    @property
    def symbols(self) -> SymbolModel:
        """What decides the symbols of its files."""
        ...

    def inference(self) -> AbstractContextManager[None]:
        """For everything that decodes."""
        ...

    def predict(self, levels: NDArray[np.int64], quality: int, tokens: Box, area: Box) -> E:
        """What is known from global tokens alone.

        Args:
            levels: of `tokens`, int64 [h, w, dims].
            quality: code, 0..255.
            tokens: the area, and around it what attention can see; whole windows.
            area: in latents.
        """
        ...

    def reconstruct(self, estimate: E, tiles: list[TileSymbols], layers: int) -> None:
        """Bring an estimate to what the symbols of so many detail layers of its tiles say."""
        ...

    def show(self, estimate: E, quality: int, layers: int, latents: Box) -> NDArray[np.uint8]:
        """Pixels uint8 [16 h, 16 w, 3] of the latents [h, w], a part of the area.

        Args:
            estimate: reconstructed.
            quality: code, 0..255.
            layers: detail layers that arrived.
            latents: in the area.
        """
        ...
