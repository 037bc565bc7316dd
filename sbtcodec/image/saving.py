"""Pictures written as image files with Pillow, each in what its format can hold.

Every format is exact except JPEG, at quality 95. AVIF is left out: Pillow has no exact setting.

    format  grayscale  alpha  profile, EXIF, XMP
    PNG     yes        yes    yes
    TIFF    yes        yes    yes; of the EXIF data, what describes the picture
    WebP    as RGB     yes    yes, except a profile for gray
    JPEG    yes        no     yes; EXIF and XMP of less than 64 kB
    BMP     yes        no     no
    PPM     as RGB     no     no

Colour code points are for PNG alone; in other formats, the profile beside them says the same.
"""

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from sbtcodec.errors import ImageError
from sbtcodec.image import cicp as code_points
from sbtcodec.image.colours import with_profile
from sbtcodec.image.exif import descriptive, in_tiff
from sbtcodec.image.files import write_atomically
from sbtcodec.image.picture import EXIF_PREFIX, Picture, pillow_info

_JPEG_SEGMENT = 65533  # the most bytes of one segment, which EXIF or XMP data must fit
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"


@dataclass(frozen=True)
class Format:
    """How Pillow calls a format, with which options it is exact, and what it can hold."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    grayscale: bool = True
    alpha: bool = True
    metadata: bool = True
    cicp: bool = False


# Of decoded photographs, level 4 gives files 3 % larger than level 6, in less than half the time.
_PNG = Format("PNG", {"compress_level": 4}, cicp=True)
# `exact` keeps the colours of what is transparent.
_WEBP = Format("WEBP", {"lossless": True, "exact": True}, grayscale=False)
_TIFF = Format("TIFF", {"compression": "tiff_adobe_deflate"})
_JPEG = Format("JPEG", {"quality": 95, "subsampling": 0}, alpha=False)
_BMP = Format("BMP", alpha=False, metadata=False)
_PPM = Format("PPM", grayscale=False, alpha=False, metadata=False)

WRITABLE: dict[str, Format] = {
    ".png": _PNG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _BMP,
    ".ppm": _PPM,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}


def check_format(path: Path) -> None:
    """Fail early, before long work, if `save_image` would refuse the extension of this path.

    Raises `ImageError`.
    """
    _format_of(path.suffix, path)


def save_image(picture: Picture | NDArray[np.uint8], path: Path, *, force: bool) -> tuple[str, ...]:
    """Write a picture, or uint8 [H, W, 3], in the format that the extension names, PNG if none.

    Returns one sentence for each thing that the format cannot hold.

    Raises `ImageError` if the extension is unknown or the format cannot hold the image,
    `OutputError` if the file exists and `force` is False or it cannot be written, and `ValueError`
    for an array of another shape or dtype.
    """
    picture = picture if isinstance(picture, Picture) else Picture(picture)
    image_format = _format_of(path.suffix, path)
    fitting = _fitted(picture, image_format)
    write_atomically(path, _encoded(fitting, image_format, path), force=force)
    return fitting.notices[len(picture.notices) :]


def fitted(picture: Picture, extension: str) -> Picture:
    """Return what a format can hold of a picture, with a notice for each thing that it cannot.

    Transparency is composited over white, a profile applied, other data dropped. The format is
    given by an extension as in `WRITABLE`.

    Raises `ImageError` if the extension is unknown.
    """
    return _fitted(picture, _format_of(extension, extension))


def encode_image(picture: Picture | NDArray[np.uint8], extension: str) -> bytes:
    """Return the file that `save_image` would write; see `fitted` for what it cannot hold.

    Raises `ImageError` if the extension is unknown or the format cannot hold the image, and
    `ValueError` for an array of another shape or dtype.
    """
    picture = picture if isinstance(picture, Picture) else Picture(picture)
    image_format = _format_of(extension, extension)
    return _encoded(_fitted(picture, image_format), image_format, "the image")


def _format_of(extension: str, named: str | Path) -> Format:
    extension = extension.lower() or ".png"
    if extension not in WRITABLE:
        known = ", ".join(WRITABLE)
        raise ImageError(f"{named} has the extension {extension}; what can be written is {known}")
    return WRITABLE[extension]


def _fitted(picture: Picture, image_format: Format) -> Picture:
    """Return what the format can hold; see `fitted`."""
    name, notices = image_format.name, list(picture.notices)
    if picture.cicp and not image_format.cicp:
        notices += _code_point_notices(picture, image_format)
        picture = replace(picture, cicp=None)
    keeps_profile = image_format.metadata and (image_format.grayscale or not picture.grayscale)
    if picture.icc and not keeps_profile:
        colours = replace(picture, alpha=None).to_image()
        converted, _ = with_profile(colours, picture.icc, notices, strip=True)
        picture = replace(picture, rgb=np.array(converted.convert("RGB")), icc=None)
    if picture.alpha is not None and not image_format.alpha:
        notices.append(f"transparency is composited over white, as {name} has none")
        picture = replace(picture, rgb=_over_white(picture.rgb, picture.alpha), alpha=None)
    exif = _held(picture.exif, "EXIF", EXIF_PREFIX, image_format, notices)
    xmp = _held(picture.xmp, "XMP", _XMP_NAME, image_format, notices)
    if (exif, xmp, tuple(notices)) == (picture.exif, picture.xmp, picture.notices):
        return picture  # itself: a copy would keep its pixels from being forgotten
    return replace(picture, exif=exif, xmp=xmp, notices=tuple(notices))


def _code_point_notices(picture: Picture, image_format: Format) -> list[str]:
    """Return notices of code points that are dropped, if the profile does not say the same."""
    assert picture.cicp is not None
    if code_points.profile_of(picture.cicp, gray=picture.grayscale) is not None and picture.icc:
        return []
    what, name = code_points.described(picture.cicp), image_format.name
    if picture.icc:
        return [f"the code points of {what} are dropped, as {name} cannot hold them"]
    return [f"colours stay as they are, {what}, and are taken for sRGB: {name} cannot say it"]


def _held(
    data: bytes | None, what: str, prefix: bytes, image_format: Format, notices: list[str]
) -> bytes | None:
    """Return metadata, or None with a notice if the format cannot hold it."""
    if data and not image_format.metadata:
        notices.append(f"{what} data is dropped, as {image_format.name} cannot hold it")
        return None
    if data and image_format is _JPEG and len(prefix + data) > _JPEG_SEGMENT:
        most = _JPEG_SEGMENT - len(prefix)
        notices.append(f"{what} data of {len(data)} bytes is dropped, as JPEG holds {most}")
        return None
    if data and image_format is _TIFF and what == "EXIF":
        try:
            return descriptive(data)
        except ValueError:
            notices.append("EXIF data is dropped, as it is unreadable")
            return None
    return data


def _over_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(rgb)
    white = Image.new("RGB", image.size, "white")
    return np.array(Image.composite(image, white, Image.fromarray(alpha)))


def _encoded(picture: Picture, image_format: Format, named: str | Path) -> bytes:
    """Return the file of a picture that the format can hold."""
    converted = picture.grayscale and not image_format.grayscale
    image = (replace(picture, grayscale=False) if converted else picture).to_image()
    if picture.passing:
        picture.forget_pixels()
    options = image_format.options | pillow_info(picture.icc, picture.exif, picture.xmp)
    if image_format is _PNG and (picture.xmp or picture.cicp):
        chunks = PngImagePlugin.PngInfo()
        if picture.cicp:
            chunks.add(b"cICP", picture.cicp)
        if picture.xmp:
            chunks.add_itxt("XML:com.adobe.xmp", picture.xmp)
        options["pnginfo"] = chunks
    if image_format is _TIFF:  # whose tags Pillow would write again, text in ASCII alone
        options = {key: value for key, value in options.items() if key not in ("exif", "xmp")}
    buffer = io.BytesIO()
    try:
        image.save(buffer, image_format.name, **options)
    except Exception as error:  # odd metadata makes Pillow raise nearly anything
        raise ImageError(f"{named} cannot be written as {image_format.name}: {error}") from error
    if image_format is _TIFF and (picture.exif or picture.xmp):
        return in_tiff(buffer.getvalue(), picture.exif, picture.xmp)
    return buffer.getvalue()
