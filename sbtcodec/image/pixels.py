"""Image files as pixels, read and written with Pillow; sizes and strips are left to `tiles`.

Letters: `H`, `W` the rows and columns of an image.

What cannot be kept is converted to 8-bit sRGB, and said in a notice:

- transparency is composited over white (an alpha channel that is opaque everywhere is dropped);
- palettes, 1 bit, CMYK, LAB and other colour models become RGB; grayscale does so silently;
- 16-bit samples are rounded to 8; 32-bit integers count as 16-bit if they are in that range, else
  they are refused, like floating-point samples: nothing in the file says which value is white;
- colours with an embedded profile other than sRGB are converted, the profile being dropped;
- of several frames, the first is taken. The EXIF orientation is applied.
"""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from sbtcodec.errors import ImageError
from sbtcodec.image.files import write_atomically

# The limits of the format, stated again because rooms do not import each other.
MAX_SIDE = 16383
DEFAULT_MAX_PIXELS = 2**28

# Pillow's format and options by extension: exact where the format can be.
WRITABLE: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"lossless": True}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".bmp": ("BMP", {}),
    ".ppm": ("PPM", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
}

_MODE_NOTICES = {
    "1": "1-bit black and white is converted to RGB",
    "P": "palette colours are converted to RGB",
    "PA": "palette colours are converted to RGB",
    "CMYK": "CMYK colours are converted to RGB",
    "YCbCr": "YCbCr colours are converted to RGB",
    "LAB": "LAB colours are converted to RGB",
    "HSV": "HSV colours are converted to RGB",
}
_SIXTEEN_BITS_NOTICE = "16 bits a sample are rounded to 8"
# For each colour space of a profile: the mode to apply it in, and the modes that lead there.
_PROFILE_MODES = {
    "RGB": ("RGB", ("RGB", "RGBX", "L", "1", "P", "PA", "YCbCr", "HSV")),
    "GRAY": ("L", ("L", "1")),
    "CMYK": ("CMYK", ("CMYK",)),
    "Lab": ("LAB", ("LAB",)),
}
_pillow_lock = threading.RLock()


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, sRGB uint8 [H, W, 3], and one sentence for each thing that was not kept."""

    rgb: NDArray[np.uint8]
    notices: tuple[str, ...]


def load_image(
    source: str | Path | BinaryIO | bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Picture:
    """Read an image from a path, an open file or the bytes of a file.

    Sides are at most 16383 pixels and there are at most `max_pixels`, both checked before pixels
    are decoded; this limit stands in for Pillow's own. Safe to call from several threads, which
    then take turns.

    Raises `ImageError` for whatever keeps the image from being read.
    """
    name = "the image"
    if isinstance(source, (str, Path)):
        name = str(source)
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    # Limited to the end: an icon, say, may hold an image larger than it declares.
    with _pillow_limit(max_pixels), _open(file, name, max_pixels) as image:
        _check_size(image, name, max_pixels)
        return as_rgb(image, name=name)


def as_rgb(image: Image.Image, *, name: str = "the image") -> Picture:
    """Convert the current frame of an image of any mode; `name` stands for it in errors.

    Raises `ImageError` if it cannot be decoded, is too large, or has samples of unknown range.
    """
    notices: list[str] = []
    try:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            notices.append(f"only frame {image.tell() + 1} of {frames} is kept")
        # For colours, Pillow drops the low bytes of 16-bit samples while decoding.
        if any(";16" in str(tile) for tile in getattr(image, "tile", ())):
            notices.append(_SIXTEEN_BITS_NOTICE)
        image.load()
        _check_size(image, name, MAX_SIDE * MAX_SIDE)
        profile = image.info.get("icc_profile")
        colours, alpha = _split_alpha(_upright(image, notices), name)
        if image.mode.startswith("I") and _SIXTEEN_BITS_NOTICE not in notices:
            notices.append(_SIXTEEN_BITS_NOTICE)
        if image.mode in _MODE_NOTICES:
            notices.append(_MODE_NOTICES[image.mode])
        rgb = _to_srgb(colours, profile, notices)
        if alpha is not None and alpha.getextrema() != (255, 255):
            notices.append("transparency is composited over white")
            rgb = Image.composite(rgb, Image.new("RGB", rgb.size, "white"), alpha)
        return Picture(np.array(rgb), tuple(notices))
    except ImageError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = str(error) or type(error).__name__
        raise ImageError(
            f"{name} cannot be decoded ({reason}); it is cut, damaged or of an unknown kind"
        ) from error


def check_format(path: Path) -> None:
    """Fail early, before long work, if `save_image` would refuse the extension of this path.

    Raises `ImageError`.
    """
    _format_of(path)


def save_image(rgb: NDArray[np.uint8], path: Path, *, force: bool) -> None:
    """Write uint8 [H, W, 3] in the format that the extension names, PNG if there is none.

    Every format is written without loss, except JPEG, at quality 95.

    Raises `ImageError` if the extension is unknown or the format cannot hold the image,
    `OutputError` if the file exists and `force` is False or it cannot be written, and `ValueError`
    for an array of another shape or dtype.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"found {rgb.dtype} {list(rgb.shape)}, expected uint8 [H, W, 3]")
    image_format, options = _format_of(path)
    buffer = io.BytesIO()
    try:
        Image.fromarray(rgb).save(buffer, image_format, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(f"{path} cannot be written as {image_format}: {error}") from error
    write_atomically(path, buffer.getvalue(), force=force)


def _format_of(path: Path) -> tuple[str, dict[str, Any]]:
    extension = path.suffix.lower() or ".png"
    if extension not in WRITABLE:
        known = ", ".join(WRITABLE)
        raise ImageError(f"{path} has the extension {extension}; what can be written is {known}")
    return WRITABLE[extension]


@contextmanager
def _pillow_limit(pixels: int) -> Iterator[None]:
    """Replace Pillow's pixel limit, make it strict, and keep other warnings off standard error."""
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _open(source: str | Path | BinaryIO, name: str, max_pixels: int) -> Image.Image:
    """Read the header of an image file; some formats, such as ICO, are decoded here already."""
    try:
        return Image.open(source)
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist; check the path") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name} is a folder, expected an image file") from error
    except PermissionError as error:
        raise ImageError(f"{name} cannot be opened: no permission to read it") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(
            f"{name} has too many pixels, expected at most {max_pixels} in all;"
            " scale it down, or raise the limit"
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image, or in a format that cannot be read") from error
    except Exception as error:  # see `as_rgb`
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} cannot be read as an image ({reason})") from error


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width} x {height} pixels, expected at least 1 x 1")
    if width > MAX_SIDE or height > MAX_SIDE:
        raise ImageError(
            f"{name} is {width} x {height} pixels, expected at most {MAX_SIDE} a side;"
            " scale it down or cut it"
        )
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width} x {height} pixels, expected at most {max_pixels} in all;"
            " scale it down, or raise the limit"
        )


def _upright(image: Image.Image, notices: list[str]) -> Image.Image:
    """Apply the EXIF orientation."""
    try:
        # Asked first because `exif_transpose` would copy an image that is upright already.
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - metadata can be damaged in any way; the pixels are fine
        notices.append("the EXIF data is unreadable: an orientation in it is ignored")
        return image


def _split_alpha(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    """Return the colours, 8 bits a sample, and the alpha channel (mode L) if there is one."""
    if image.mode == "F":
        raise ImageError(
            f"{name} has floating-point samples, of which the range is not known;"
            " convert it to 8 or 16 bits first"
        )
    if image.mode.startswith("I"):  # I;16 in its byte orders, or 32-bit I
        return _round_to_8_bits(image, name)
    if not image.has_transparency_data:
        return image, None
    if image.mode in ("1", "L", "LA", "La"):
        image = image.convert("LA")
        return image.getchannel("L"), image.getchannel("A")
    image = image.convert("RGBA")
    return image.convert("RGB"), image.getchannel("A")


def _round_to_8_bits(image: Image.Image, name: str) -> tuple[Image.Image, Image.Image | None]:
    samples = np.asarray(image).astype(np.int64)
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65535:
        raise ImageError(
            f"{name} has samples from {low} to {high}, expected 0 to 65535;"
            " convert it to 8 or 16 bits first"
        )
    gray = Image.fromarray(((samples + 128) // 257).astype(np.uint8))  # 65535 = 255 * 257
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return gray, None
    return gray, Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8))


def _to_srgb(colours: Image.Image, profile: bytes | None, notices: list[str]) -> Image.Image:
    """Convert to mode RGB, through the embedded profile if it is good for these colours."""
    if not profile:
        return colours.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode, fitting = _PROFILE_MODES[source.profile.xcolor_space.strip()]
        if colours.mode not in fitting:
            raise ValueError(f"a profile for {mode} in an image of mode {colours.mode}")
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if _changes_nothing(transform, mode):
            return colours.convert("RGB")
        converted = ImageCms.applyTransform(colours.convert(mode), transform)
    except Exception:  # noqa: BLE001 - see `_upright`
        notices.append("the embedded colour profile is unusable: colours are taken as sRGB")
        return colours.convert("RGB")
    if colours.mode not in ("CMYK", "LAB"):  # of which the conversion has been told already
        notices.append("colours are converted from the embedded profile to sRGB")
    assert converted is not None  # only in-place conversion returns None
    return converted


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a profile is sRGB by its effect, whatever its name: no sample moves by over 2."""
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    if mode == "L":
        probe = Image.fromarray(steps[None])
    elif mode == "RGB":
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)  # [18, 18, 18, 3]
        probe = Image.fromarray(cube.reshape(1, -1, 3))
    else:
        return False
    after = ImageCms.applyTransform(probe, transform)
    assert after is not None
    difference = np.asarray(after).astype(int) - np.asarray(probe.convert("RGB")).astype(int)
    return bool(np.abs(difference).max() <= 2)
