"""Directories of TIFF files, classic and BigTIFF: read, and replaced in a copy of the file."""

import io
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_SIZES = {2: 1, 5: 8, 7: 1, 10: 8, 11: 4, 12: 8} | {
    kind: struct.calcsize("=" + code) for kind, code in _INTEGERS.items()
}
_SHORT, _LONG, _LONG8 = 3, 4, 16
_BIG = 43
_MAX_ENTRIES = 4096  # a damaged file may declare more than it has bytes
_MAX_DIRECTORIES = 256

_SUB_IFDS = 330


class DirectoryError(ValueError):
    """A directory is cut or damaged."""


@dataclass(frozen=True)
class Directory:
    """The entries of one image in a TIFF file, as they stand there.

    Attributes:
        file: the file, left open at any position.
        order: "<" or ">", the byte order of the file.
        big: whether it is a BigTIFF file.
        entries: type, count and the bytes of the value, or of its offset, by tag.
        offset: where it begins.
        following: offset of the next directory, 0 after the last.
    """

    file: BinaryIO
    order: str
    big: bool
    entries: Mapping[int, tuple[int, int, bytes]]
    offset: int
    following: int

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the integers of a tag, none if it is missing or of another type.

        Raises `DirectoryError` if the file ends before them.
        """
        kind, count, field = self.entries.get(tag, (0, 0, b""))
        if kind not in _INTEGERS:
            return ()
        size = count * _SIZES[kind]
        if size > len(field):
            field = _read(self.file, struct.unpack(self.order + "IQ"[self.big], field)[0], size)
        return struct.unpack(f"{self.order}{count}{_INTEGERS[kind]}", field[:size])

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first integer of a tag, or the default."""
        found = self.numbers(tag)
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

    def nested(self) -> list["Directory"]:
        """Return those nested in this one, without what is cut or damaged."""
        found = []
        for offset in self._nested_offsets()[:_MAX_DIRECTORIES]:
            with suppress(DirectoryError):
                found.append(read_directory(self.file, offset))
        return found

    def _nested_offsets(self) -> tuple[int, ...]:
        try:
            return self.numbers(_SUB_IFDS)
        except DirectoryError:
            return ()


def read_directory(file: BinaryIO, offset: int | None = None) -> Directory:
    """Read the directory at an offset, the first one if it is not given.

    Raises `DirectoryError` if it is cut or damaged, or the file is no TIFF file.
    """
    head = _read(file, 0, 8)
    if head[:2] not in (b"II", b"MM") or not {42, _BIG} & {head[2], head[3]}:
        raise DirectoryError("no TIFF file")
    order, big = "<" if head[:2] == b"II" else ">", _BIG in head[2:4]
    if offset is None:
        where = _read(file, 8, 8) if big else head[4:]
        (offset,) = struct.unpack(order + "IQ"[big], where)
    count_format = order + "HQ"[big]
    start = offset + struct.calcsize(count_format)
    (count,) = struct.unpack(count_format, _read(file, offset, struct.calcsize(count_format)))
    if count > _MAX_ENTRIES:
        raise DirectoryError(f"{count} entries")
    size = 20 if big else 12
    raw = _read(file, start, count * size)
    entries = {}
    for at in range(0, len(raw), size):
        tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHI"), raw, at)
        entries[tag] = kind, number, raw[at + (12 if big else 8) : at + size]
    tail = file.read(8 if big else 4)  # which some files lack at their end
    following = struct.unpack(order + "IQ"[big], tail)[0] if len(tail) == (8 if big else 4) else 0
    return Directory(file, order, big, entries, offset, following)


def with_directory(
    directory: Directory, changes: Mapping[int, tuple[int, ...] | None], payload: bytes = b""
) -> bytes:
    """Return the file with one image: that of a directory, with some of its tags replaced.

    All bytes stay where they were, so that what other tags point to is found.

    Args:
        directory: the one to change.
        changes: the integers of a tag, unsigned, or None to leave it out.
        payload: bytes that are added at the end of the original file, at `end_of`.

    Raises `DirectoryError` if the file becomes too large for its kind.
    """
    order, big = directory.order, directory.big
    directory.file.seek(0)
    content = bytearray(directory.file.read())
    content += bytes(end_of(directory) - len(content)) + payload + bytes(len(payload) % 2)
    entries = dict(directory.entries)
    for tag, numbers in changes.items():
        entries.pop(tag, None)
        if numbers is None:
            continue
        kind = _LONG8 if big else _LONG
        kind = _SHORT if max(numbers) < 2**16 else kind
        try:
            field = struct.pack(f"{order}{len(numbers)}{_INTEGERS[kind]}", *numbers)
        except struct.error as error:
            raise DirectoryError("too large for a TIFF file") from error
        if len(field) > (8 if big else 4):
            at = len(content)
            content += field + bytes(len(field) % 2)
            field = struct.pack(order + "IQ"[big], at)
        entries[tag] = kind, len(numbers), field.ljust(8 if big else 4, b"\0")
    start = len(content)
    if not big and start >= 2**32 - 2**17:
        raise DirectoryError("too large for a TIFF file")
    content += struct.pack(order + "HQ"[big], len(entries))
    for tag, (kind, count, field) in sorted(entries.items()):
        content += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count) + field
    content += bytes(8 if big else 4)
    struct.pack_into(order + "IQ"[big], content, 8 if big else 4, start)
    return bytes(content)


def end_of(directory: Directory) -> int:
    """Return where the payload of `with_directory` begins."""
    size = directory.file.seek(0, io.SEEK_END)
    return size + size % 2


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    if offset + size > file.seek(0, io.SEEK_END):  # before so much memory is asked for
        raise DirectoryError(f"it ends before {offset + size} bytes")
    file.seek(offset)
    return file.read(size)
