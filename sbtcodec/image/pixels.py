"""Image files read into pictures, with Pillow.

Letters: `H`, `W` the rows and columns of an image.

What can be kept is kept: transparency, grayscale, colour profiles for gray and RGB, EXIF and XMP
data. The rest is converted, and said in a notice:

- palettes, CMYK, LAB and other colour models become RGB, 1 bit becomes grayscale;
- samples of 9 to 16 bits are rounded to 8; 32-bit integers count as 16-bit if they are in that
  range, else they are refused, like floating-point and signed samples: nothing in the file says
  which value is white;
- a profile that is for other samples than gray or RGB is applied to them, giving sRGB;
- of several frames, the first is taken; in TIFF files, the first that is no preview of another;
- text, IPTC data, comments, gain maps and what else a file holds is dropped.

Colours that a file names without a profile, as PNG's gAMA, cHRM and cICP do, are kept as a profile
or as code points. Without a word, the EXIF orientation is applied, an alpha channel that is opaque
everywhere is dropped, and so is a profile that says the same as sRGB. Raw files of cameras are
refused: of them, Pillow reads the preview.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from sbtcodec.errors import ImageError
from sbtcodec.image.arrays import array_of
from sbtcodec.image.colour_tags import colours_of
from sbtcodec.image.colours import MODE_NOTICES, split_alpha, with_code_points, with_profile
from sbtcodec.image.file_scan import scan_of
from sbtcodec.image.metadata import resolution_notices, tiff_tags, upright, within_limit
from sbtcodec.image.opening import EmptyFileError, PixelLimitError, open_image, pixel_limit
from sbtcodec.image.picture import Picture
from sbtcodec.image.samples import loaded
from sbtcodec.image.tiff_samples import converted
from sbtcodec.limits import DEFAULT_MAX_PIXELS, MAX_SIDE


def load_image(
    source: str | Path | BinaryIO | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    strip: bool = False,
) -> Picture:
    """Read an image from a path, an open file or the bytes of a file.

    Sides are at most 16383 pixels and there are at most `max_pixels`, both checked before pixels
    are decoded; this limit stands in for Pillow's own. `strip` leaves out metadata, see `as_rgb`.
    Safe to call from several threads at once.

    Raises `ImageError` for whatever keeps the image from being read.
    """
    name = "the image"
    if isinstance(source, (str, Path)):
        name = str(source)
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    # Limited to the end: an icon, say, may hold an image larger than it declares.
    notices: list[str] = []
    with pixel_limit(max_pixels), _open(file, name, max_pixels, notices) as image:
        _check_size(image, name, max_pixels)
        picture = as_rgb(image, name=name, strip=strip, max_pixels=max_pixels)
    return replace(picture, notices=(*notices, *picture.notices)) if notices else picture


def as_rgb(
    image: Image.Image,
    *,
    name: str = "the image",
    strip: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Picture:
    """Convert the current frame of an image of any mode; `name` stands for it in errors.

    `strip` leaves out EXIF and XMP data and the colour profile, after converting to sRGB with it.

    Raises `ImageError` if it cannot be decoded, is too large, or has samples of unknown range.
    """
    notices: list[str] = []
    _check_size(image, name, max_pixels)
    try:
        if (frames := getattr(image, "n_frames", 1)) > 1:
            notices.append(f"only frame {image.tell() + 1} of {frames} is kept")
        scan, tags = scan_of(image), tiff_tags(image, notices)
        mode = image.mode
        image = loaded(image, name, notices)
        _check_size(image, name, max_pixels)  # which may be another now
        turned, exif, xmp = upright(image, notices, tags)
        xmp = xmp or scan.info.get("xmp")
        colours, alpha = split_alpha(turned, name)
        if mode in MODE_NOTICES:
            notices.append(MODE_NOTICES[mode])
        profile, cicp = colours_of(image, scan.info, exif, notices)
        profile = within_limit(profile, "the colour profile", notices)
        if cicp is None:
            colours, icc = with_profile(colours, profile, notices, strip=strip)
        else:
            colours, icc, cicp = with_code_points(colours, profile, cicp, notices, strip=strip)
        if alpha is not None and alpha.getextrema() == (255, 255):
            alpha = None
        if strip:
            exif = xmp = None
        else:
            notices += scan.notices + resolution_notices(image.info, exif)
        return Picture(
            rgb=array_of(colours, "RGB"),
            grayscale=colours.mode == "L",
            alpha=None if alpha is None else array_of(alpha, "L"),
            icc=icc,
            exif=within_limit(exif, "the EXIF data", notices),
            xmp=within_limit(xmp, "the XMP data", notices),
            cicp=cicp,
            notices=tuple(notices),  # last: the lines above add to it
        )
    except ImageError:
        raise
    except PixelLimitError as error:
        raise _too_many(name, max_pixels) from error
    except Image.DecompressionBombError as error:
        raise _over_pillows_limit(name) from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = str(error) or type(error).__name__
        raise ImageError(
            f"{name} cannot be decoded ({reason}); it is cut, damaged or of an unknown kind"
        ) from error


def _open(
    source: str | Path | BinaryIO, name: str, max_pixels: int, notices: list[str]
) -> ImageFile:
    """Open an image file, or say why it cannot be; what is lost in doing so goes to `notices`."""
    try:
        try:
            return open_image(source)
        except UnidentifiedImageError:
            content = converted(_content_of(source), name, notices)
            if content is None:
                raise
            return open_image(io.BytesIO(content))
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist; check the path") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name} is a folder, expected an image file") from error
    except ImageError:
        raise
    except PermissionError as error:
        raise ImageError(f"{name} cannot be opened: no permission to read it") from error
    except PixelLimitError as error:
        raise _too_many(name, max_pixels) from error
    except Image.DecompressionBombError as error:
        raise _over_pillows_limit(name) from error
    except EmptyFileError as error:
        raise ImageError(f"{name} is empty, expected an image file") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image, or in a format that cannot be read") from error
    except Exception as error:  # see `as_rgb`
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} cannot be read as an image ({reason})") from error


def _content_of(source: str | Path | BinaryIO) -> bytes:
    """Return the bytes of a file that was read from already; none of a pipe."""
    if isinstance(source, (str, Path)):
        return Path(source).read_bytes()
    try:
        source.seek(0)
        return source.read()
    except (AttributeError, OSError):
        return b""


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width} x {height} pixels, expected at least 1 x 1")
    if width * height > max_pixels:
        raise _too_many(name, max_pixels)
    if width > MAX_SIDE or height > MAX_SIDE:
        raise ImageError(
            f"{name} is {width} x {height} pixels, expected at most {MAX_SIDE} a side;"
            " scale it down or cut it"
        )


def _too_many(name: str, max_pixels: int) -> ImageError:
    return ImageError(
        f"{name} has too many pixels, expected at most {max_pixels} in all;"
        " scale it down, or raise max_pixels"
    )


def _over_pillows_limit(name: str) -> ImageError:
    """For the rare formats that look at the limit of the program around this one."""
    return ImageError(
        f"{name} has more pixels than this program allows Pillow;"
        " raise PIL.Image.MAX_IMAGE_PIXELS, or save it as PNG first"
    )
