"""EXIF data as bytes: the orientation taken out in place, thumbnails dropped, TIFF files' tags.

Nothing is rewritten that need not be: text keeps its encoding, and what cameras note with offsets
of their own stays where it is.
"""

import re
import struct
from contextlib import suppress
from typing import BinaryIO

from PIL import ExifTags

from sbtcodec.image.tiff import (
    BIG_TYPES,
    INTEGERS,
    LONG,
    SHORT,
    Directory,
    DirectoryError,
    Field,
    first_directory,
    read_directory,
)
from sbtcodec.image.tiff_writing import Fields, built, swapped, with_fields

EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005
# Directories inside of a directory, by the tag of the one that points to them.
NESTED = {None: (EXIF, GPS), EXIF: (INTEROP,)}
_ORIENTATION = ExifTags.Base.Orientation.value
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
    directory = first_directory(exif)
    fields = directory.fields()
    if not fields.keys() - {_ORIENTATION} and not directory.following:
        return None
    if _ORIENTATION not in fields:
        return exif
    order, offset = directory.order, directory.offset
    end = offset + 2 + 12 * len(directory.table)
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
        directory = first_directory(exif)
        order, following = directory.order, directory.following
        if following:
            _blank(changed, read_directory(directory.file, following))
            end = directory.offset + 2 + 12 * len(directory.table)
            struct.pack_into(order + "I", changed, end, 0)
        pointer = directory.fields({EXIF}).get(EXIF) if size else None
        if size and pointer:
            inner = read_directory(directory.file, *struct.unpack(order + "I", pointer.data))
            _set_sides(changed, inner.fields(_SIDES), order, size)
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
        directory = first_directory(exif)
        inner = _fields(directory, frozenset()).get(EXIF)
    except ValueError:
        return None
    if not isinstance(inner, dict):
        return None
    space, interop = inner.get(_COLOUR_SPACE), inner.get(INTEROP)
    if not isinstance(space, Field) or len(space.data) < 2:
        return None
    (code,) = struct.unpack(directory.order + "H", space.data[:2])
    index = interop.get(_INTEROP_INDEX) if isinstance(interop, dict) else None
    adobe = isinstance(index, Field) and index.data.startswith(b"R03")
    if code == _ADOBE_RGB or (code == _UNCALIBRATED and adobe):
        return "adobe"
    return "uncalibrated" if code == _UNCALIBRATED else None


def exif_of_tiff(file: BinaryIO, offset: int) -> bytes | None:
    """Return, as EXIF data, the tags of a TIFF file that say nothing of how pixels are stored.

    `offset` is that of the frame's directory. Raises `ValueError` if there is none.
    """
    return _built(read_directory(file, offset))


def descriptive(exif: bytes) -> bytes | None:
    """Return the tags of EXIF data that say nothing of how pixels are stored.

    Raises `ValueError` if it is no TIFF structure.
    """
    return _built(first_directory(exif))


def in_tiff(file: bytes, exif: bytes | None, xmp: bytes | None) -> bytes:
    """Return a TIFF file with EXIF and XMP data among its tags.

    Raises `ValueError` if the EXIF data is no TIFF structure.
    """
    directory = first_directory(file)
    more: Fields = {}
    if exif:
        source = first_directory(exif)
        more = _fields(source, DESCRIPTIVE)
        if source.order != directory.order:
            more = swapped(more)
    if xmp:
        more[_XMP] = Field(1, len(xmp), xmp)
    return with_fields(directory, more, following=directory.following)


def _built(directory: Directory) -> bytes | None:
    """Return, as EXIF data, the descriptive fields of a directory, if there are any."""
    found = _fields(directory, DESCRIPTIVE)
    return built(found, directory.order) if found else None


def _fields(
    directory: Directory, wanted: frozenset[int] | None = None, *, parent: int | None = None
) -> Fields:
    """Return the fields of a directory with those inside of it; `wanted` is for the outermost one.

    Inner ones that are damaged are left out.
    """
    inner = NESTED.get(parent, ())
    if wanted is not None:
        wanted = wanted | {*inner}
    found: Fields = {}
    for tag, field in directory.fields(wanted).items():
        if tag not in inner:
            if field.kind not in BIG_TYPES:  # which EXIF data cannot have
                found[tag] = field
        elif len(field.data) in (4, 8):
            at = int.from_bytes(field.data, "little" if directory.order == "<" else "big")
            with suppress(DirectoryError):
                found[tag] = _fields(read_directory(directory.file, at), parent=tag)
    return found


def _blank(changed: bytearray, directory: Directory) -> None:
    """Overwrite a directory, and the pictures that it points to."""
    fields = directory.fields()
    spans = [(directory.offset, 2 + 12 * len(directory.table) + 4)]
    for at_tag, length_tag in _PICTURES:
        starts = _numbers(fields.get(at_tag), directory.order)
        lengths = _numbers(fields.get(length_tag), directory.order)
        spans += zip(starts, lengths, strict=False)
    done = 0
    for start, length in sorted(spans):  # each byte once, however they overlap
        start, stop = max(start, done), min(start + length, len(changed))
        if start < stop:
            changed[start:stop] = bytes(stop - start)
            done = stop


def _numbers(field: Field | None, order: str) -> tuple[int, ...]:
    if field is None or field.kind not in (SHORT, LONG):
        return ()
    return struct.unpack(f"{order}{field.elements}{INTEGERS[field.kind]}", field.data)


def _set_sides(
    changed: bytearray, fields: dict[int, Field], order: str, size: tuple[int, int]
) -> None:
    for tag, side in _SIDES.items():
        field = fields.get(tag)
        if field is not None and field.elements == 1 and field.kind in (SHORT, LONG):
            struct.pack_into(order + INTEGERS[field.kind], changed, field.offset, size[side])
