"""The tokens of a picture as arrays: what an `.sbt` file says, before entropy coding."""

import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sbtcodec.arguments import PathLike, path_of, shown, whole_number
from sbtcodec.codec.tokens_file import FORMAT, read_tokens
from sbtcodec.errors import ArgumentError
from sbtcodec.grid import LATENTS_PER_TOKEN, tokens_of
from sbtcodec.image.files import write_atomically
from sbtcodec.limits import DEFAULT_MAX_PIXELS, MAX_DETAIL_LAYERS, MAX_SIDE


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
            ArgumentError: something does not fit together.
        """
        for name, low, high in (
            ("width", 1, MAX_SIDE),
            ("height", 1, MAX_SIDE),
            ("quality", 0, 255),
            ("detail_layers", 0, MAX_DETAIL_LAYERS),
            ("model", 1, 255),
        ):
            # a number of NumPy would not go into the JSON text of a file
            object.__setattr__(self, name, whole_number(name, getattr(self, name), low, high))
        if not isinstance(self.grayscale, (bool, np.bool_)):
            raise ArgumentError(f"grayscale is {shown(self.grayscale)}, expected True or False")
        object.__setattr__(self, "grayscale", bool(self.grayscale))
        grid = tokens_of(self.width, self.height)
        latents = grid.times(LATENTS_PER_TOKEN)
        for name, array, dtype, (rows, columns) in (
            ("levels", self.levels, np.uint8, (grid.height, grid.width)),
            ("symbols", self.symbols, np.int16, (latents.height, latents.width)),
        ):
            if not isinstance(array, np.ndarray):
                raise ArgumentError(f"{name} is {shown(array)}, expected a NumPy array")
            if array.dtype != dtype or array.ndim != 3 or array.shape[:2] != (rows, columns):
                raise ArgumentError(
                    f"{name} is {array.dtype} {list(array.shape)}, expected"
                    f" {np.dtype(dtype)} [{rows}, {columns}, channels]"
                )

    def save(self, path: PathLike, *, force: bool = False) -> None:
        """Write a compressed `.npz` with the arrays `levels`, `symbols` and `about` (JSON text).

        Raises:
            ArgumentError: `path` is none.
            OutputError: the file exists already and `force` is False, or cannot be written.
        """
        write_atomically(path_of("path", path), self.to_bytes(), force=force)

    def to_bytes(self) -> bytes:
        """The file that `save` writes."""
        about = {"format": FORMAT} | {
            k: v for k, v in vars(self).items() if k not in ("levels", "symbols")
        }
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            levels=self.levels,
            symbols=self.symbols.astype("<i2", copy=False),
            about=np.array(json.dumps(about), "<U"),
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, path: PathLike, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> "Tokens":
        """Read what `save` wrote; files of more than `max_pixels` pixels are refused early.

        Raises:
            ArgumentError: `path` is none, or `max_pixels` no positive number.
            InvalidFileError: the file is missing, damaged or something else.
        """
        most = whole_number("max_pixels", max_pixels, 1)
        levels, symbols, about = read_tokens(path_of("path", path), most)
        return cls(levels, symbols, **about)
