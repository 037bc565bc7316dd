"""Damaged tiles of a file drawn by the generator, given their neighbours."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sbtcodec.container import Header

if TYPE_CHECKING:
    from sbtcodec.generation.generator import Generator


class Concealment:
    """What `Codec.decode` takes as `conceal`; several threads may use it.

    The generator is loaded when a file needs it: most damage is in details, which are predicted.
    """

    def __init__(self, device: str = "auto", *, seed: int = 0, weights: Path | None = None) -> None:
        """Load nothing yet; the arguments are those of `Generator.load` and `complete`."""
        self._device, self._seed, self._weights = device, seed, weights
        self._generators: dict[int, Generator] = {}
        self._loading = threading.Lock()

    def __call__(
        self, header: Header, levels: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Draw global tokens.

        Args:
            header: of the file.
            levels: int64 [h, w, dims]; those that are not known do not count.
            known: bool [h, w]; some are, and some are not.

        Returns:
            int64 [h, w, dims]; what was known is as it was.

        Raises:
            ModelMismatchError: the model of the file has no generator.
            WeightsError: its weights are missing or damaged.
        """
        from sbtcodec.generation.generator import Generator

        with self._loading:
            generator = self._generators.get(header.model)
            if generator is None:
                generator = Generator.load(self._device, model=header.model, weights=self._weights)
                self._generators[header.model] = generator
        return generator.fill(levels, known, seed=self._seed)
