"""EXIF data as bytes: the orientation taken out in place, thumbnails dropped, TIFF files' tags.

Nothing is rewritten that need not be: text keeps its encoding, and what cameras note with offsets
of their own stays where it is.
"""

import io
import re
import struct
from typing import BinaryIO

from PIL import ExifTags

from sbtcodec.image import tiff
from sbtcodec.image.tiff import EXIF, INTEROP, Directory, Field

_ORIENTATION = ExifTags.Base.Orientation.value
_SHORT = 3
_XMP = 700
# In a TIFF file, EXIF tags stand among those that lay out the pixels, which must not go elsewhere.
DESCRIPTIVE = frozenset(
    tag.value
    for tag in (
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
)
# Where a directory says that a picture lies: offsets and lengths, of a JPEG file or of strips.
_PICTURES = ((0x0201, 0x0202), (0x0111, 0x0117))
_JPEG = re.compile(rb"\xff\xd8\xff.*?(?:\xff\xd9|\Z)", re.DOTALL)
_SIDES = {0xA002: 0, 0xA003: 1}  # PixelXDimension, PixelYDimension
_COLOUR_SPACE, _INTEROP_INDEX = 0xA001, 1
_ADOBE_RGB, _UNCALIBRATED = 2, 0xFFFF


def without_orientation(exif: bytes) -> bytes | None:
    """Return EXIF data without orientation, or None if it said nothing else.

    Raises `ValueError` if it is no TIFF structure.
    """
    order, offset = tiff.head_of(exif[:8])
    fields, following = tiff.fields_at(io.BytesIO(exif), order, offset)
    if not fields.keys() - {_ORIENTATION} and not following:
        return None
    if _ORIENTATION not in fields:
        return exif
    (count,) = struct.unpack_from(order + "H", exif, offset)
    end = offset + 2 + 12 * count
    entries = [exif[at : at + 12] for at in range(offset + 2, end, 12)]
    tag = struct.pack(order + "H", _ORIENTATION)
    entries = [entry for entry in entries if entry[:2] != tag]  # it may stand there twice
    table = struct.pack(order + "H", len(entries)) + b"".join(entries) + exif[end : end + 4]
    # In place: values stay where they are, behind room that is free now.
    return exif[:offset] + table.ljust(end + 4 - offset, b"\0") + exif[end + 4 :]


def without_thumbnail(exif: bytes, size: tuple[int, int] | None = None) -> tuple[bytes, bool]:
    """Return EXIF data in which no picture is left, and whether there was one.

    It is overwritten, with the directory that it stands in; pictures that cameras put among their
    own notes are too. `size` is what the data says then of the picture's width and height, if it
    says something. Data that is no TIFF structure is searched for JPEG files all the same.
    """
    changed = bytearray(exif)
    try:
        order, offset = tiff.head_of(exif[:8])
        file = io.BytesIO(exif)
        fields, following = tiff.fields_at(file, order, offset)
        if following:
            _blank_directory(changed, file, order, following)
            (count,) = struct.unpack_from(order + "H", exif, offset)
            struct.pack_into(order + "I", changed, offset + 2 + 12 * count, 0)
        if size and EXIF in fields:
            (inner,) = struct.unpack(order + "I", fields[EXIF].data)
            _set_sides(changed, tiff.fields_at(file, order, inner)[0], order, size)
    except (ValueError, struct.error):
        following = 0
    found = bool(following)
    for match in _JPEG.finditer(bytes(changed)):
        changed[match.start() : match.end()] = bytes(match.end() - match.start())
        found = True
    return bytes(changed), found


def colour_space_of(exif: bytes) -> str | None:
    """Return "adobe" if EXIF data says Adobe RGB, "uncalibrated" if it says no more than that."""
    try:
        order, offset = tiff.head_of(exif[:8])
        inner = tiff.directory_at(io.BytesIO(exif), order, offset, frozenset()).get(EXIF)
    except ValueError:
        return None
    if not isinstance(inner, dict):
        return None
    space, interop = inner.get(_COLOUR_SPACE), inner.get(INTEROP)
    if not isinstance(space, Field) or len(space.data) < 2:
        return None
    (code,) = struct.unpack(order + "H", space.data[:2])
    index = interop.get(_INTEROP_INDEX) if isinstance(interop, dict) else None
    adobe = isinstance(index, Field) and index.data.startswith(b"R03")
    if code == _ADOBE_RGB or (code == _UNCALIBRATED and adobe):
        return "adobe"
    return "uncalibrated" if code == _UNCALIBRATED else None


def exif_of_tiff(file: BinaryIO, offset: int) -> bytes | None:
    """Return, as EXIF data, the tags of a TIFF file that say nothing of how pixels are stored.

    `offset` is that of the frame's directory. Raises `ValueError` if there is none.
    """
    file.seek(0)
    head = file.read(4)
    order = "<" if head[:2] == b"II" else ">"
    found = tiff.directory_at(file, order, offset, DESCRIPTIVE, big=b"+" in head)
    return tiff.built(found, order) if found else None


def descriptive(exif: bytes) -> bytes | None:
    """Return the tags of EXIF data that say nothing of how pixels are stored.

    Raises `ValueError` if it is no TIFF structure.
    """
    order, offset = tiff.head_of(exif[:8])
    found = tiff.directory_at(io.BytesIO(exif), order, offset, DESCRIPTIVE)
    return tiff.built(found, order) if found else None


def in_tiff(file: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Return a TIFF file with EXIF and XMP data among its tags.

    Raises `ValueError` if the EXIF data is no TIFF structure.
    """
    more: Directory = {}
    if exif:
        order, offset = tiff.head_of(exif[:8])
        more = tiff.directory_at(io.BytesIO(exif), order, offset, DESCRIPTIVE)
        if order != tiff.head_of(file[:8])[0]:
            more = tiff.swapped(more)
    if xmp:
        more[_XMP] = Field(1, len(xmp), xmp)
    return tiff.added(file, more)


def _blank_directory(changed: bytearray, file: BinaryIO, order: str, offset: int) -> None:
    """Overwrite a directory, and the pictures that it points to."""
    fields, _ = tiff.fields_at(file, order, offset)
    file.seek(offset)
    (count,) = struct.unpack(order + "H", file.read(2))
    spans = [(offset, 2 + 12 * count + 4)]
    for at_tag, length_tag in _PICTURES:
        starts = _numbers(fields.get(at_tag), order)
        spans += zip(starts, _numbers(fields.get(length_tag), order), strict=False)
    done = 0
    for start, length in sorted(spans):  # each byte once, however they overlap
        start, stop = max(start, done), min(start + length, len(changed))
        if start < stop:
            changed[start:stop] = bytes(stop - start)
            done = stop


def _numbers(field: Field | None, order: str) -> tuple[int, ...]:
    if field is None or field.kind not in (_SHORT, 4):
        return ()
    return struct.unpack(f"{order}{field.number}{'H' if field.kind == _SHORT else 'I'}", field.data)


def _set_sides(
    changed: bytearray, fields: dict[int, Field], order: str, size: tuple[int, int]
) -> None:
    for tag, side in _SIDES.items():
        field = fields.get(tag)
        if field is not None and field.number == 1 and field.kind in (_SHORT, 4):
            layout = order + ("H" if field.kind == _SHORT else "I")
            struct.pack_into(layout, changed, field.value, size[side])
