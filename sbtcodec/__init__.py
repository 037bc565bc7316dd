"""A learned image codec: a few global tokens, and detail predicted from them or sent on top.

    data = sbtcodec.compress(image, quality=50)  # a PIL image or uint8 [H, W, 3] -> bytes
    image = sbtcodec.decompress(data)  # bytes -> a PIL image

Importing the package is quick: torch and the weights are loaded on first use.
"""

import functools
from typing import TYPE_CHECKING

import sbtcodec.forking  # noqa: F401  # from now on, forked children are told
from sbtcodec.container import FileInfo
from sbtcodec.container import describe as _describe
from sbtcodec.errors import SbtError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from sbtcodec.codec import Codec

__all__ = ["Codec", "SbtError", "__version__", "compress", "decompress", "inspect"]

__version__ = "0.2.0"


def compress(
    image: "NDArray[np.uint8] | Image.Image",
    quality: float = 50,
    *,
    globals_only: bool = False,
    device: str = "auto",
) -> bytes:
    """Compress a PIL image, or sRGB uint8 [H, W, 3], into the bytes of an `.sbt` file.

    Of a PIL image, transparency, colour profile, EXIF and XMP data are kept too.
    `quality` goes from 0 to 100; `globals_only` leaves out everything that can be predicted, for
    the smallest file. `device` is "auto", "cpu" or "cuda".

    Raises `SbtError`.
    """
    return _loaded_codec(device).compress(image, quality, globals_only=globals_only)


def decompress(
    data: bytes,
    layers: int | None = None,
    *,
    allow_partial: bool = False,
    device: str = "auto",
) -> "Image.Image":
    """Decode the bytes of an `.sbt` file into a PIL image of mode RGB, L, RGBA or LA.

    `layers` limits how many detail layers are used: 0 is the global tokens alone. `allow_partial`
    decodes what is whole of a file that was cut. `device` is "auto", "cpu" or "cuda".

    Raises `SbtError`, whatever the bytes are.
    """
    return _loaded_codec(device).decompress(data, layers, allow_partial=allow_partial)


def inspect(data: bytes) -> FileInfo:
    """Tell size, quality and layers of an `.sbt` file, without decoding and without torch.

    Raises `SbtError` if the bytes are not such a file.
    """
    return _describe(data)


def __getattr__(name: str) -> object:
    if name == "Codec":
        from sbtcodec.codec import Codec

        return Codec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _loaded_codec(device: str) -> "Codec":
    from sbtcodec.codec import Codec

    return Codec.load(device)
