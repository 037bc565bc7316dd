"""A learned image codec: a few global tokens, and detail predicted from them or sent on top.

    data = sbtcodec.compress(image, quality=50)  # a PIL image or uint8 [H, W, 3] -> bytes
    image = sbtcodec.decompress(data)  # bytes -> a PIL image

Importing the package is quick: torch and the weights are loaded on first use. All errors are
`SbtError`s, of the kinds in `sbtcodec.errors`.
"""

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

import sbtcodec.runtime.forking  # noqa: F401  # from now on, forked children are told
from sbtcodec.arguments import Buffer, content_of, flag, number, shown, whole_number
from sbtcodec.codec.rate_target import rate_target_of
from sbtcodec.container import FileInfo, Look, check_pixels, unpack
from sbtcodec.container import describe as _describe
from sbtcodec.errors import ArgumentError, DeviceError, SbtError
from sbtcodec.limits import DEFAULT_MAX_PIXELS
from sbtcodec.rdo.effort import DEFAULT_EFFORT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from sbtcodec.codec.codec import Codec
    from sbtcodec.codec.tokens import Tokens
    from sbtcodec.generation.generator import Generator
    from sbtcodec.image.picture import Picture

__all__ = [
    "ArgumentError",
    "Codec",
    "Generator",
    "SbtError",
    "Tokens",
    "__version__",
    "compress",
    "decompress",
    "inspect",
]

__version__ = "0.3.0"


def compress(
    image: "NDArray[np.uint8] | Image.Image | Picture",
    quality: float = 50,
    *,
    globals_only: bool = False,
    effort: int = DEFAULT_EFFORT,
    size: int | str | None = None,
    bpp: float | None = None,
    target: str | tuple[str, float] | None = None,
    strip: bool = False,
    keep_invisible: bool = False,
    look: str | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    device: str = "auto",
) -> bytes:
    """Compress an image into the bytes of an `.sbt` file.

    One of `quality`, `globals_only`, `size`, `bpp` and `target` says what the file is to be.

    Args:
        image: a PIL image of any mode, or an sRGB array: uint8 [H, W, 3], RGB; [H, W] is gray,
            [H, W, 4] RGB and alpha, [H, W, 2] gray and alpha. Transparency is kept, and of a PIL
            image colour profile, EXIF and XMP data are too. The orientation in EXIF data is
            applied.
        quality: 0 (smallest) to 100 (best).
        globals_only: leave out everything that can be predicted, for the smallest file.
        effort: 0 to 9; from 4 on, more time is spent on a smaller and better file.
        size: the best file of at most so many bytes: 20000, "20kB" or "20KiB".
        bpp: the best file of at most so many bits per pixel.
        target: the smallest file whose picture reaches a score: "psnr=35" or ("psnr", 35), in dB;
            "ms-ssim" up to 1 and "ssimulacra2" up to 100 (both need `sbtcodec[bench]`). Of a
            picture with transparency, the lesser of those over black and over white.
        strip: leave out EXIF and XMP data and the colour profile, converting the colours to sRGB.
        keep_invisible: encode the colours of pixels of alpha 0 as they are; without it, they
            continue those of their neighbourhood.
        look: "faithful" or "vivid": how the picture is meant to be seen, which `decompress` follows
            where no realism is given.
        max_pixels: refuse larger images, before they are decoded.
        device: "auto", "cpu" or "cuda".

    Raises:
        ArgumentError: an argument is wrong, or two exclude each other.
        ImageError: the image cannot be compressed: wrong dtype or shape, too large, damaged.
        RateError: no file of it has the size or reaches the score.
        SbtError: of other kinds, for the device and the weights.
    """
    rate_target = rate_target_of(
        quality,
        globals_only=globals_only,
        effort=effort,
        size=size,
        bpp=bpp,
        target=target,
        keep_invisible=keep_invisible,
    )
    from sbtcodec.image.conversion import as_picture

    most = whole_number("max_pixels", max_pixels, 1)
    picture = as_picture(image, strip=strip, max_pixels=most)
    if Look.meant(look):
        picture = replace(picture, look=look)
    codec = _loaded_codec(_known(device))
    if not rate_target.search:
        return codec.compress(
            picture,
            rate_target.quality,
            globals_only=rate_target.globals_only,
            effort=effort,
            keep_invisible=rate_target.keep_invisible,
        )
    from sbtcodec.evaluation.metrics import measure_of

    measure = None if rate_target.target is None else measure_of(rate_target.target.metric)
    return rate_target.found(codec, picture, measure).data


def decompress(
    data: Buffer,
    layers: int | None = None,
    *,
    allow_partial: bool = False,
    crop: tuple[int, int, int, int] | None = None,
    scale: int = 1,
    realism: float | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    device: str = "auto",
) -> "Image.Image":
    """Decode the bytes of an `.sbt` file into a PIL image of mode RGB, L, RGBA or LA.

    Args:
        data: bytes, or anything with the buffer protocol, such as an open `mmap`.
        layers: use at most so many detail layers; 0 is the global tokens alone.
        allow_partial: decode what is whole of a file that was cut.
        crop: decode this part alone: x, y, width and height, in pixels from the top left.
        scale: reduce the picture (or crop) by this factor: 1, 2, 4 or 8.
        realism: share of the vivid look: 0 shows what the file says, 1 looks real by synthesised
            detail, which the image's XMP data says. The model needs one, see `sbtcodec models`.
            None shows the file as it is meant: vividly if it says so, else faithfully.
        max_pixels: refuse files that declare more pixels, before anything is allocated.
        device: "auto", "cpu" or "cuda".

    Raises:
        ArgumentError: an argument is wrong, or the crop is not inside the picture.
        InvalidFileError: the file is damaged, cut, or has too many pixels.
        SbtError: of other kinds, for the device and the model.
    """
    content = content_of(data)
    most = whole_number("max_pixels", max_pixels, 1)
    if realism is not None:
        number("realism", realism, 0, 1)
    # bad files are told before torch and the weights are loaded
    check_pixels(unpack(content, allow_partial=flag("allow_partial", allow_partial)).header, most)
    return _loaded_codec(_known(device)).decompress(
        content,
        layers,
        allow_partial=allow_partial,
        crop=crop,
        scale=scale,
        realism=realism,
        max_pixels=most,
    )


def inspect(data: Buffer) -> FileInfo:
    """Tell size, quality and layers of an `.sbt` file, without decoding and without torch.

    Raises `ArgumentError` for what is no bytes, `InvalidFileError` if they are not such a file.
    """
    return _describe(content_of(data))


def __getattr__(name: str) -> object:
    if name == "Codec":
        from sbtcodec.codec.codec import Codec

        return Codec
    if name == "Tokens":
        from sbtcodec.codec.tokens import Tokens

        return Tokens
    if name == "Generator":
        from sbtcodec.generation.generator import Generator

        return Generator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _known(device: str) -> str:
    if not isinstance(device, str):
        raise DeviceError(f"the device is {shown(device)}, expected auto, cpu or cuda, as text")
    return device


@functools.cache
def _loaded_codec(device: str) -> "Codec":
    from sbtcodec.codec.codec import Codec

    return Codec.load(device)
