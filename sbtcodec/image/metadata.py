"""EXIF, XMP and the orientation in them: found in a PIL image, and made to fit upright pixels."""

import re
from typing import Any

from PIL import ExifTags, Image

from sbtcodec.image.exif import (
    DESCRIPTIVE,
    INTEROP,
    NESTED,
    exif_of_tiff,
    without_orientation,
    without_thumbnail,
)
from sbtcodec.image.picture import EXIF_PREFIX
from sbtcodec.image.png import RAW_PROFILE, raw_profile
from sbtcodec.image.tiff import first_directory
from sbtcodec.limits import MAX_METADATA_BYTES

_ORIENTATION = ExifTags.Base.Orientation
_X_RESOLUTION = ExifTags.Base.XResolution.value
_RAW_EXIF = RAW_PROFILE + "exif"
# What has to be done to an image that has this orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[0-9]+")
# Resolutions that programs write where none is known.
_USUAL_DPI = (72, 96)
_THUMBNAILS = re.compile(
    rb"<(\w+):Thumbnails\b.*?</\1:Thumbnails\s*>"
    rb"|(?<=:image=\")[^\"]*(?=\")|(?<=:image>)[^<]*(?=</)|(?<=:Data=\")[^\"]*(?=\")",
    re.DOTALL,
)


def upright(
    image: Image.Image, notices: list[str], tags: bytes | None = None
) -> tuple[Image.Image, bytes | None, bytes | None]:
    """Apply the orientation of a loaded image; return pixels, EXIF and XMP data without it.

    The EXIF data keeps every byte but those of an orientation, and of a thumbnail if the picture
    is turned. Not Pillow's `exif_transpose`: that writes all tags again, and gives up where a
    damaged one, say, cannot be. Of TIFF files, `tags` are what they have as EXIF data.
    """
    xmp = _xmp_of(image)
    try:
        exif = image.getexif()  # with the orientation that XMP gives, if EXIF gives none
        orientation = exif.get(_ORIENTATION, 1)
        has_tags = len(exif) > 0
    except Exception:  # noqa: BLE001 - metadata can be damaged in any way; the pixels are fine
        notices.append("the EXIF data is unreadable: it is dropped, with an orientation in it")
        return image, None, xmp
    if xmp and _ORIENTATION in exif:
        xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    turn = _TURNS.get(orientation)
    payload = None
    if has_tags:
        payload = _exif_of(image) or tags or _exif_of_tags(image, exif, notices)
    if payload and orientation != 1:
        try:
            payload = without_orientation(payload)
        except ValueError:
            notices.append("the EXIF data cannot be written again: it is dropped")
            payload = None
    if turn is None:
        return image, payload, xmp
    turned = image.transpose(turn)
    payload, xmp, dropped = of_a_part(payload, xmp, turned.size, why="the picture is turned")
    notices += dropped
    return turned, payload, xmp


def of_a_part(
    exif: bytes | None,
    xmp: bytes | None,
    size: tuple[int, int],
    *,
    why: str = "it shows the whole picture",
) -> tuple[bytes | None, bytes | None, tuple[str, ...]]:
    """Return metadata that fits a part of a picture, or one that was changed, and notices.

    No picture of the whole is left in it; `size` is the width and height of the part, and `why` is
    said of what is left out.
    """
    notices = []
    if exif:
        exif, found = without_thumbnail(exif, size)
        if found:
            notices.append(f"the EXIF thumbnail is dropped, as {why}")
    if xmp:
        xmp, count = _THUMBNAILS.subn(b"", xmp)
        if count:
            notices.append(f"the thumbnail in the XMP data is dropped, as {why}")
    return exif, xmp, tuple(notices)


def tiff_tags(image: Image.Image, notices: list[str]) -> bytes | None:
    """Return, as EXIF data, what the tags of an opened TIFF image say, before it is decoded."""
    tags, file = getattr(image, "tag_v2", None), getattr(image, "fp", None)
    if tags is None or file is None:
        return None
    try:
        position = file.tell()
        try:
            return exif_of_tiff(file, tags.offset)
        finally:
            file.seek(position)
    except (ValueError, OSError, AttributeError):
        notices.append("the EXIF data is dropped, as it cannot be told from the other TIFF tags")
        return None


def resolution_notices(info: dict[Any, Any], exif: bytes | None) -> list[str]:
    """Return a notice that the resolution of an image is dropped, unless EXIF data has it."""
    try:
        if exif and first_directory(exif).fields({_X_RESOLUTION}):
            return []
        across, down = (float(number) for number in info.get("dpi", info.get("aspect", (0, 0))))
        if "dpi" not in info:
            square = across == down
            return [] if square else [f"the aspect of pixels, {across:g} to {down:g}, is dropped"]
        if across < 2 or any(abs(across - usual) < 0.5 for usual in _USUAL_DPI):
            return []
        return [f"the resolution of {across:.4g} dpi is dropped"]
    except (ValueError, TypeError):
        return []


def within_limit(data: bytes | None, what: str, notices: list[str]) -> bytes | None:
    """Return metadata, or None with a notice if it is longer than a file can hold."""
    if data and len(data) > MAX_METADATA_BYTES:
        notices.append(f"{what} is dropped: it has {len(data)} bytes, over {MAX_METADATA_BYTES}")
        return None
    return data or None


def _exif_of(image: Image.Image) -> bytes | None:
    """Return the EXIF data as a TIFF structure, as it is."""
    raw = image.info.get("exif")
    if raw is None and isinstance(text := image.info.get(_RAW_EXIF), str):  # of old PNG files
        raw = raw_profile(text.encode("latin-1", "replace"))
    return raw.removeprefix(EXIF_PREFIX) if raw else None


def _exif_of_tags(image: Image.Image, exif: Image.Exif, notices: list[str]) -> bytes | None:
    """Return the EXIF data of a TIFF image whose file is closed, as Pillow writes it again."""
    if not hasattr(image, "tag_v2"):
        return None
    kept = Image.Exif()
    kept.endian = exif.endian
    try:
        for tag in DESCRIPTIVE & set(exif):
            kept[tag] = _in_bytes(exif[tag])
        for group in NESTED[None]:
            if found := dict(exif.get_ifd(group)):
                if INTEROP in found:
                    found[INTEROP] = exif.get_ifd(INTEROP)
                kept[group] = {tag: _in_bytes(value) for tag, value in found.items()}
        return kept.tobytes().removeprefix(EXIF_PREFIX) if len(kept) else None
    except Exception:  # noqa: BLE001 - metadata can be damaged in any way; the pixels are fine
        notices.append("the EXIF data cannot be written again: it is dropped")
        return None


def _in_bytes(value: Any) -> Any:  # noqa: ANN401 - of whatever kind a tag has
    """Return text as the bytes that it was read from: Pillow writes ASCII, and ? for the rest."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def _xmp_of(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return xmp.encode() if isinstance(xmp, str) else xmp
