"""EXIF, XMP and the orientation in them: found in a PIL image, and made to fit upright pixels."""

import re

from PIL import ExifTags, Image

from sbtcodec.image.limits import MAX_METADATA_BYTES
from sbtcodec.image.picture import EXIF_PREFIX

# The groups of tags inside EXIF data.
_NESTED = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

_ORIENTATION = ExifTags.Base.Orientation
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
# In a TIFF file, EXIF tags stand among those that lay out the pixels, which must not go elsewhere.
_DESCRIPTIVE_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
    ExifTags.Base.Rating,
    ExifTags.Base.RatingPercent,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
)


def upright(
    image: Image.Image, notices: list[str]
) -> tuple[Image.Image, bytes | None, bytes | None]:
    """Apply the orientation of a loaded image; return pixels, EXIF and XMP data without it.

    The EXIF data keeps every byte if it has no orientation to take out. Not Pillow's
    `exif_transpose`: that gives up where a damaged tag, say, cannot be written again.
    """
    xmp = _xmp_of(image)
    try:
        exif = image.getexif()  # with the orientation that XMP gives, if EXIF gives none
        orientation = exif.get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - metadata can be damaged in any way; the pixels are fine
        notices.append("the EXIF data is unreadable: it is dropped, with an orientation in it")
        return image, None, xmp
    if xmp and _ORIENTATION in exif:
        xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
    try:
        payload = _exif_of(image, exif, keep=orientation == 1)
    except Exception:  # noqa: BLE001 - see above
        notices.append("the EXIF data cannot be written again: it is dropped")
        payload = None
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn), payload, xmp


def within_limit(data: bytes | None, what: str, notices: list[str]) -> bytes | None:
    """Return metadata, or None with a notice if it is longer than a file can hold."""
    if data and len(data) > MAX_METADATA_BYTES:
        notices.append(f"{what} is dropped: it has {len(data)} bytes, over {MAX_METADATA_BYTES}")
        return None
    return data or None


def descriptive(exif: Image.Exif) -> Image.Exif:
    """Return the tags that say something of the picture and nothing of how pixels are stored."""
    kept = Image.Exif()
    kept.endian = exif.endian
    for tag in _DESCRIPTIVE_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for group in _NESTED:
        if found := dict(exif.get_ifd(group)):
            if ExifTags.IFD.Interop in found:
                found[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
            kept[group] = found
    return kept


def _exif_of(image: Image.Image, exif: Image.Exif, *, keep: bool) -> bytes | None:
    """Return the EXIF data as a TIFF structure: as it is if `keep`, else without orientation."""
    raw = image.info.get("exif")
    if raw is None:
        if "Raw profile type exif" in image.info:  # of old PNG files
            raw = exif.tobytes()
        elif hasattr(image, "tag_v2"):
            raw = descriptive(exif).tobytes()
        else:
            return None
    copy = Image.Exif()  # `exif` is the caller's own, to be left as it is
    copy.load(raw)
    if not keep:
        copy.pop(_ORIENTATION, None)
        raw = copy.tobytes()
    return raw.removeprefix(EXIF_PREFIX) if len(copy) else None


def _xmp_of(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return xmp.encode() if isinstance(xmp, str) else xmp
