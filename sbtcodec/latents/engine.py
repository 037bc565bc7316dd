"""What coding asks of an engine, the part that runs float networks: torch, or onnxruntime.

What selects a probability is none of its business.
"""

from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import LATENTS_PER_TOKEN, Box
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.models.prices import Prices
from sbtcodec.models.symbol_model import SymbolModel

HALO = 8  # latents that the decoder can see around a latent
ATTENTION_HALO = 24  # tokens that the predictor's attention can see beyond an area, and more

E = TypeVar("E")
"""What an engine knows of local tokens."""
T = TypeVar("T")
"""An engine's arrays, of NumPy or torch."""


def spread_halo(depth: int) -> int:
    """Latents that a predictor of so many blocks can see around a latent, in whole tokens."""
    return -(-depth // LATENTS_PER_TOKEN) * LATENTS_PER_TOKEN


class Engine(Protocol[E]):
    """The float networks of one model."""

    @property
    def symbols(self) -> SymbolModel:
        """What decides the symbols of its files."""
        ...

    def inference(self) -> AbstractContextManager[None]:
        """For everything that decodes."""
        ...

    def predict(
        self,
        levels: NDArray[np.int64],
        quality: int,
        tokens: Box,
        area: Box,
        *,
        alone: bool = False,
    ) -> E:
        """What is known from global tokens alone.

        Args:
            levels: of `tokens`, int64 [h, w, dims].
            quality: code, 0..255.
            tokens: the area, and around it what attention can see; whole windows.
            area: in latents.
            alone: the file has global tokens alone; models may have networks for these.
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


class EncodingEngine(Engine[E], Protocol[E, T]):
    """The float networks of one model that also encodes.

    Levels of global tokens are int64 [1, dims, h, w], where NumPy can see them.
    """

    @property
    def prices(self) -> Prices:
        """What errors and bits are worth to each other."""
        ...

    def analyse(self, rgb: NDArray[np.uint8]) -> tuple[T, T]:
        """Run the encoder's networks on uint8 [height, width, 3].

        Returns:
            Local tokens y, float32 [1, local_channels, H, W], and global tokens z before they are
            quantised, float32 [1, dims, h, w].

        Raises:
            ModelMismatchError: the model has the decoder's half alone.
        """
        ...

    def levels(self, z: T) -> T:
        """What global tokens z are quantised to."""
        ...

    def fitted_levels(self, y: T, z: T, steps: int) -> T:
        """Levels of global tokens adapted so many times to what they predict."""
        ...

    def adapted(self, y: T, estimate: E, quality: int, *, last: bool) -> T:
        """Local tokens as they are sent at a quality code.

        Args:
            y: of `analyse`.
            estimate: still a prediction.
            quality: code, 0..255.
            last: nobody needs `y` any more, it may be overwritten.
        """
        ...

    def refine(self, estimate: E, step: int) -> None:
        """Correct the prediction of what is not known yet, before `step` (2 * layer + parity)."""
        ...

    def residual(self, estimate: E, y: T, tile: TileSymbols, step: int) -> NDArray[np.float32]:
        """What is to be sent of a tile in a step, in steps: float32 [n] as `TileSymbols.tables`.

        Args:
            estimate: refined for the step.
            y: local tokens as they are sent, of the area of the estimate.
            tile: inside of it.
            step: 2 * layer + parity.
        """
        ...

    def add(self, estimate: E, tile: TileSymbols, step: int) -> None:
        """Apply the symbols that a tile holds of a step."""
        ...
