"""The tokens of a picture as arrays: what an `.sbt` file says, before entropy coding."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sbtcodec.container import MAX_SIDE
from sbtcodec.errors import InvalidFileError
from sbtcodec.grid import CELLS_PER_TOKEN, tokens_of
from sbtcodec.image.files import write_atomically

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Tokens:
    """All integers of a picture at one quality.

    h = ceil(height / 32) and w = ceil(width / 32) count global tokens, H = 2 h and W = 2 w local
    ones.

    Attributes:
        levels: uint8 [h, w, dims], the level of each dimension of each global token, from 0 to
            K - 1, where K is the number of levels of that dimension in the model.
        symbols: int16 [H, W, channels], residuals of the local tokens to their prediction, in steps
            of the quality; those of detail layer i are channels in the order of the layers.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
        quality: code, 0..255; quality on the user's scale is code * 100 / 255.
        detail_layers: layers that `symbols` holds; channels of further ones are 0 and are predicted
            without a residual.
        model: number of the model whose tokens they are.
        grayscale: whether the picture is gray.
    """

    levels: NDArray[np.uint8]
    symbols: NDArray[np.int16]
    width: int
    height: int
    quality: int
    detail_layers: int
    model: int
    grayscale: bool = False

    def __post_init__(self) -> None:
        """Check shapes, types and ranges.

        Raises:
            ValueError: something does not fit together.
        """
        for name, value, low, high in (
            ("width", self.width, 1, MAX_SIDE),
            ("height", self.height, 1, MAX_SIDE),
            ("quality", self.quality, 0, 255),
            ("detail_layers", self.detail_layers, 0, 4),
            ("model", self.model, 1, 255),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, expected {low} to {high}")
        grid = tokens_of(self.width, self.height)
        cells = grid.times(CELLS_PER_TOKEN)
        for name, array, dtype, (rows, columns) in (
            ("levels", self.levels, np.uint8, (grid.height, grid.width)),
            ("symbols", self.symbols, np.int16, (cells.height, cells.width)),
        ):
            if array.dtype != dtype or array.ndim != 3 or array.shape[:2] != (rows, columns):
                raise ValueError(
                    f"{name} is {array.dtype} {list(array.shape)}, expected"
                    f" {np.dtype(dtype)} [{rows}, {columns}, channels]"
                )

    def save(self, path: Path, *, force: bool = False) -> None:
        """Write a compressed `.npz` with the arrays `levels`, `symbols` and `about` (JSON text).

        Raises:
            OutputError: the file exists already and `force` is False, or cannot be written.
        """
        about = {"format": FORMAT} | {
            k: v for k, v in vars(self).items() if k not in ("levels", "symbols")
        }
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, levels=self.levels, symbols=self.symbols, about=np.array(json.dumps(about))
        )
        write_atomically(path, buffer.getvalue(), force=force)

    @classmethod
    def load(cls, path: Path) -> "Tokens":
        """Read what `save` wrote.

        Raises:
            InvalidFileError: the file is missing, damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                if about.pop("format") != FORMAT:
                    raise ValueError("another version of the format")
                return cls(levels=arrays["levels"], symbols=arrays["symbols"], **about)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
            raise InvalidFileError(f"{path} does not hold tokens: {error}") from error
