"""TIFF structures, which EXIF data is too, as bytes: directories read, built and added to a file.

Values are copied and never interpreted, so that text keeps its bytes whatever its encoding. What is
read is bounded: a directory by its number of fields, a value by the size of metadata.
"""

import struct
from typing import BinaryIO, NamedTuple, TypeAlias

from sbtcodec.limits import MAX_METADATA_BYTES

EXIF, GPS, INTEROP = 0x8769, 0x8825, 0xA005
# Directories inside of a directory, by the tag of the one that points to them.
NESTED = {None: (EXIF, GPS), EXIF: (INTEROP,)}

_LONG = 4
# How many bytes an element of each kind has, and those that change places with the byte order.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = {16: 8, 17: 8, 18: 8}
_WORDS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
_MAX_FIELDS = 4096


class Field(NamedTuple):
    """A value of a directory: its kind, the number of its elements, their bytes, where it stands.

    `entry` is the offset of the 12 bytes of the field, `value` that of its bytes.
    """

    kind: int
    number: int
    data: bytes
    entry: int = 0
    value: int = 0


Directory: TypeAlias = "dict[int, Field | Directory]"


def head_of(head: bytes) -> tuple[str, int]:
    """Return the byte order, "<" or ">", and the offset of the first directory.

    Raises `ValueError` if these are not the first 8 bytes of a TIFF structure, or of BigTIFF.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(head[:4])
    if order is None or len(head) < 8:
        raise ValueError(f"found {head[:4].hex(' ') or 'nothing'}, expected a TIFF structure")
    return order, struct.unpack(order + "I", head[4:8])[0]


def fields_at(
    file: BinaryIO,
    order: str,
    offset: int,
    wanted: frozenset[int] | None = None,
    *,
    big: bool = False,
) -> tuple[dict[int, Field], int]:
    """Read the fields of a directory, and the offset of the next one, 0 if there is none.

    Fields of unknown kind, or whose value leaves the file, are left out, and so are those not in
    `wanted`. `big` is for BigTIFF. Raises `ValueError` if there is no directory at `offset`.
    """
    counts, pointers = ("Q", "Q") if big else ("H", "I")
    width, pointer = (20, 8) if big else (12, 4)
    file.seek(offset)
    start = struct.calcsize(counts)
    (count,) = _unpacked(order + counts, file.read(start))
    if count > _MAX_FIELDS:
        raise ValueError(f"a directory of {count} fields, expected at most {_MAX_FIELDS}")
    table = file.read(width * count)
    if len(table) < width * count:
        raise ValueError(f"the directory at {offset} leaves the file")
    following = file.read(pointer)
    found: dict[int, Field] = {}
    for index in range(count):
        tag, kind, elements = struct.unpack_from(order + "HH" + pointers, table, width * index)
        size = (_SIZES | _BIG_SIZES if big else _SIZES).get(kind, 0) * elements
        if not 0 < size <= MAX_METADATA_BYTES or (wanted is not None and tag not in wanted):
            continue
        entry = offset + start + width * index
        value = entry + 4 + pointer
        if size > pointer:
            (value,) = struct.unpack_from(order + pointers, table, width * index + 4 + pointer)
        if value >= 2**62:  # which files cannot seek to
            continue
        file.seek(value)
        data = file.read(size)
        if len(data) == size:
            found.setdefault(tag, Field(kind, elements, data, entry, value))
    whole = len(following) == pointer
    return found, struct.unpack(order + pointers, following)[0] if whole else 0


def directory_at(
    file: BinaryIO,
    order: str,
    offset: int,
    wanted: frozenset[int] | None = None,
    *,
    parent: int | None = None,
    big: bool = False,
) -> Directory:
    """Read a directory with those inside of it; `wanted` is for the outermost one, `big` BigTIFF.

    Raises `ValueError` if there is none at `offset`; inner ones that are damaged are left out.
    """
    inner = NESTED.get(parent, ())
    if wanted is not None:
        wanted = wanted | {*inner}
    fields, _ = fields_at(file, order, offset, wanted, big=big)
    found: Directory = {}
    for tag, field in fields.items():
        if tag not in inner:
            if field.kind in _SIZES:
                found[tag] = field
        elif len(field.data) in (4, 8):
            at = int.from_bytes(field.data, "little" if order == "<" else "big")
            try:
                found[tag] = directory_at(file, order, at, parent=tag, big=big)
            except (ValueError, OverflowError):
                continue
    return found


def swapped(directory: Directory) -> Directory:
    """Return the same directory in the other byte order."""
    found: Directory = {}
    for tag, field in directory.items():
        if not isinstance(field, Field):
            found[tag] = swapped(field)
            continue
        word = _WORDS.get(field.kind, 1)
        data = b"".join(field.data[at : at + word][::-1] for at in range(0, len(field.data), word))
        found[tag] = field._replace(data=data if word > 1 else field.data)
    return found


def built(directory: Directory, order: str) -> bytes:
    """Return a TIFF structure of a directory whose values are in this byte order."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + _laid_out(directory, order, 8)


def added(file: bytes, more: Directory) -> bytes:
    """Return a TIFF file whose first directory has more fields, their values in its byte order.

    They replace those of the same tag. The old directory stays in the file, unused.
    """
    order, offset = head_of(file[:8])
    (count,) = struct.unpack_from(order + "H", file, offset)
    kept = {}
    for at in range(offset + 2, offset + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(order + "H", file, at)
        kept[tag] = file[at : at + 12]
    following = file[offset + 2 + 12 * count : offset + 6 + 12 * count]
    body = file + bytes(len(file) % 2)
    directory = _laid_out(more, order, len(body), kept=kept, following=following)
    return body[:4] + struct.pack(order + "I", len(body)) + body[8:] + directory


def _laid_out(
    directory: Directory,
    order: str,
    offset: int,
    *,
    kept: dict[int, bytes] | None = None,
    following: bytes = bytes(4),
) -> bytes:
    """Return the bytes of a directory that stands at `offset`, its values behind it."""
    entries = dict(kept or {})
    tail_at = offset + 2 + 12 * len(entries.keys() | directory.keys()) + 4
    tail = b""
    for tag, field in sorted(directory.items()):
        at = tail_at + len(tail)
        if not isinstance(field, Field):
            tail += _laid_out(field, order, at)
            pointer = struct.pack(order + "I", at)
            entries[tag] = struct.pack(order + "HHI", tag, _LONG, 1) + pointer
            continue
        start = struct.pack(order + "HHI", tag, field.kind, field.number)
        if len(field.data) <= 4:
            entries[tag] = start + field.data.ljust(4, b"\0")
        else:
            entries[tag] = start + struct.pack(order + "I", at)
            tail += field.data + bytes(len(field.data) % 2)
    table = b"".join(entry for _, entry in sorted(entries.items()))
    return struct.pack(order + "H", len(entries)) + table + following + tail


def _unpacked(layout: str, data: bytes) -> tuple[int, ...]:
    if len(data) < struct.calcsize(layout):
        raise ValueError("a directory begins behind the end")
    return struct.unpack(layout, data)
