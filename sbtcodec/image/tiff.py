"""Directories of TIFF files, classic and BigTIFF, and of EXIF data, which is such a file: read.

What is read is bounded: a directory by its number of entries, directories by their number, a value
of metadata by the size that metadata can have, the values of a directory by that of the file.
`tiff_writing` builds directories, and replaces them in a file.
"""

import io
import struct
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, NamedTuple

from sbtcodec.limits import MAX_METADATA_BYTES

SHORT, LONG, LONG8 = 3, 4, 16  # types of values
# The types of integers, as `struct` knows them.
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
# How many bytes an element of each type has.
_SIZES = {2: 1, 5: 8, 7: 1, 10: 8, 11: 4, 12: 8} | {
    kind: struct.calcsize("=" + code) for kind, code in INTEGERS.items()
}
BIG_TYPES = frozenset({16, 17, 18})  # of BigTIFF alone
_BIG = 43
_MAX_ENTRIES = 4096  # a damaged file may declare more than it has bytes
_MAX_DIRECTORIES = 256


class DirectoryError(ValueError):
    """A directory is cut or damaged, or would be too far into its file."""


class Field(NamedTuple):
    """A value: its type (`kind`), the number of its elements, their bytes, and where they stand."""

    kind: int
    elements: int
    data: bytes
    offset: int = 0


class Entry(NamedTuple):
    """What stands in a directory: `data` are the bytes of the value, or their offset if longer."""

    tag: int
    kind: int
    elements: int
    data: bytes
    offset: int

    @property
    def size(self) -> int:
        """Of the value in bytes, 0 if its type is unknown."""
        return _SIZES.get(self.kind, 0) * self.elements


@dataclass(frozen=True)
class Directory:
    """The entries of one image in a TIFF file, or of EXIF data, as they stand there.

    Attributes:
        file: the file, left open at any position.
        order: "<" or ">", the byte order of the file.
        big: whether it is a BigTIFF file.
        offset: where it begins.
        following: offset of the next directory, 0 after the last.
        table: its entries in their order; a tag may stand there twice.
    """

    file: BinaryIO
    order: str
    big: bool
    offset: int
    following: int
    table: tuple[Entry, ...]

    @cached_property
    def entries(self) -> Mapping[int, Entry]:
        """The entries by tag, the last of each, as Pillow has it."""
        return {entry.tag: entry for entry in self.table}

    def fields(self, wanted: Collection[int] | None = None) -> dict[int, Field]:
        """Return the values by tag, of those in `wanted` or of all, the first of each.

        Those of unknown type are left out, and so are those that leave the file, are longer than
        metadata can be, or do not fit into the file beside the others.
        """
        room = self.file.seek(0, io.SEEK_END)  # more than that has to overlap
        found: dict[int, Field] = {}
        for entry in self.table:
            if entry.tag in found or (wanted is not None and entry.tag not in wanted):
                continue
            known = self.big or entry.kind not in BIG_TYPES
            if known and 0 < entry.size <= min(room, MAX_METADATA_BYTES):
                with suppress(DirectoryError):
                    found[entry.tag] = self._field(entry)
                    room -= entry.size
        return found

    def numbers(self, tag: int, most: int | None = None) -> tuple[int, ...]:
        """Return the integers of a tag, the first `most`; none if it is missing or of another type.

        Raises `DirectoryError` if the file ends before all of them.
        """
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in INTEGERS:
            return ()
        count = entry.elements if most is None else min(most, entry.elements)
        data = self._field(entry, count * _SIZES[entry.kind]).data
        return struct.unpack(f"{self.order}{count}{INTEGERS[entry.kind]}", data)

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first integer of a tag, or the default."""
        found = self.numbers(tag, 1)
        return found[0] if found else default

    def pages(self) -> list["Directory"]:
        """Return this one and those that follow it, up to one that is cut or damaged."""
        found, seen, directory = [self], {self.offset}, self
        while directory.following not in (0, *seen) and len(found) < _MAX_DIRECTORIES:
            try:
                directory = read_directory(self.file, directory.following)
            except DirectoryError:
                break
            seen.add(directory.offset)
            found.append(directory)
        return found

    def _field(self, entry: Entry, most: int | None = None) -> Field:
        """Return the value of an entry, `most` bytes of it; all of it has to be in the file."""
        size = entry.size
        if size <= len(entry.data):
            return Field(entry.kind, entry.elements, entry.data[:size][:most], entry.offset)
        (at,) = struct.unpack(self.order + "IQ"[self.big], entry.data)
        return Field(entry.kind, entry.elements, _read(self.file, at, size, most), at)


def nested(directories: Collection[Directory], tag: int) -> list[Directory]:
    """Return what a tag of directories of a file points to, without what is cut or damaged.

    Each is read once, however many point to it.
    """
    found: dict[int, Directory | None] = {}
    for directory in directories:
        with suppress(DirectoryError):
            for offset in directory.numbers(tag, _MAX_DIRECTORIES):
                if offset in found or len(found) == _MAX_DIRECTORIES:
                    continue
                found[offset] = None
                with suppress(DirectoryError):
                    found[offset] = read_directory(directory.file, offset)
    return [directory for directory in found.values() if directory is not None]


def read_directory(file: BinaryIO, offset: int | None = None) -> Directory:
    """Read the directory at an offset, the first one if it is not given.

    Raises `DirectoryError` if it is cut or damaged, or the file is no TIFF file.
    """
    head = _read(file, 0, 8)
    if head[:2] not in (b"II", b"MM") or not {42, _BIG} & {head[2], head[3]}:
        raise DirectoryError("no TIFF file")
    order, big = "<" if head[:2] == b"II" else ">", _BIG in head[2:4]
    pointer, counter, layout = layouts(order, big)
    if offset is None:
        (offset,) = pointer.unpack(_read(file, 8, 8) if big else head[4:])
    start = offset + counter.size
    (count,) = counter.unpack(_read(file, offset, counter.size))
    if count > _MAX_ENTRIES:
        raise DirectoryError(f"{count} entries")
    size = layout.size + pointer.size
    raw = _read(file, start, count * size)
    tail = file.read(pointer.size)  # which some files lack at their end
    table = []
    for at in range(0, len(raw), size):
        tag, kind, elements = layout.unpack_from(raw, at)
        inline = at + layout.size
        table.append(Entry(tag, kind, elements, raw[inline : at + size], start + inline))
    following = pointer.unpack(tail)[0] if len(tail) == pointer.size else 0
    return Directory(file, order, big, offset, following, tuple(table))


def first_directory(data: bytes) -> Directory:
    """Return the first directory of a TIFF structure in memory, such as EXIF data.

    Raises `DirectoryError` if it is no such structure, or of BigTIFF.
    """
    if data[:4] not in (b"II*\0", b"MM\0*") or len(data) < 8:
        shown = data[:4].hex(" ") or "nothing"
        raise DirectoryError(f"found {shown}, expected a TIFF structure")
    return read_directory(io.BytesIO(data))


def layouts(order: str, big: bool) -> tuple[struct.Struct, struct.Struct, struct.Struct]:
    """Return how an offset, the number of entries, and an entry less its data are stored."""
    codes = ("Q", "Q", "HHQ") if big else ("I", "H", "HHI")
    pointer, counter, layout = (struct.Struct(order + code) for code in codes)
    return pointer, counter, layout


def _read(file: BinaryIO, offset: int, size: int, most: int | None = None) -> bytes:
    """Return bytes of a file, `most` of them at the most, if all are there."""
    if offset + size > file.seek(0, io.SEEK_END):  # before so much memory is asked for
        raise DirectoryError(f"it ends before {offset + size} bytes")
    file.seek(offset)
    return file.read(size if most is None else min(most, size))
