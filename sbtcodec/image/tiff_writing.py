"""Directories of TIFF files, and of EXIF data, built of fields, and replaced in a copy of a file.

Values are bytes and never interpreted, so that text keeps its encoding, whatever it is.
"""

import io
import struct
from collections.abc import Collection, Mapping
from typing import TypeAlias

from sbtcodec.image.tiff import (
    INTEGERS,
    LONG,
    LONG8,
    SHORT,
    Directory,
    DirectoryError,
    Entry,
    Field,
    layouts,
)

Fields: TypeAlias = "dict[int, Field | Fields]"
"""What a directory is built of, by tag: values, and directories that are nested in it."""

# How many bytes of a value change places with the byte order, by its type.
_WORDS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}


def swapped(fields: Fields) -> Fields:
    """Return the same fields in the other byte order."""
    found: Fields = {}
    for tag, field in fields.items():
        if not isinstance(field, Field):
            found[tag] = swapped(field)
            continue
        word = _WORDS.get(field.kind, 1)
        data = b"".join(field.data[at : at + word][::-1] for at in range(0, len(field.data), word))
        found[tag] = field._replace(data=data if word > 1 else field.data)
    return found


def built(fields: Fields, order: str) -> bytes:
    """Return a TIFF structure of fields whose values are in this byte order."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + _laid_out(fields, 8, order)


def with_fields(
    directory: Directory,
    fields: Fields,
    *,
    dropped: Collection[int] = (),
    following: int = 0,
    payload: bytes = b"",
) -> bytes:
    """Return the file with the image of a directory first, with some of its fields replaced.

    All bytes stay where they were, so that what other tags point to is found.

    Args:
        directory: the one to change; it stays in the file, unused.
        fields: what it has in place of its own of these tags, in the byte order of the file.
        dropped: tags to leave out.
        following: offset of the next directory, 0 for none.
        payload: bytes that are added at the end of the original file, at `end_of`.

    Raises `DirectoryError` if the file becomes too large for its kind.
    """
    order, big = directory.order, directory.big
    directory.file.seek(0)
    content = bytearray(directory.file.read())
    content += bytes(end_of(directory) - len(content)) + payload + bytes(len(payload) % 2)
    kept = [entry for tag, entry in directory.entries.items() if tag not in dropped]
    try:
        start = struct.pack(order + "IQ"[big], len(content))
        content += _laid_out(fields, len(content), order, big=big, kept=kept, following=following)
    except struct.error as error:
        raise DirectoryError("too large for a TIFF file") from error
    at = 8 if big else 4
    content[at : at + len(start)] = start
    return bytes(content)


def with_directory(
    directory: Directory, changes: Mapping[int, tuple[int, ...] | None], payload: bytes = b""
) -> bytes:
    """Return the file with one image, as `with_fields`, some of its tags replaced by integers.

    Args:
        directory: the one to change.
        changes: the integers of a tag, unsigned, or None to leave it out.
        payload: bytes that are added at the end of the original file, at `end_of`.

    Raises `DirectoryError` if the file becomes too large for its kind.
    """
    fields: Fields = {}
    for tag, numbers in changes.items():
        if numbers is None:
            continue
        kind = SHORT if max(numbers) < 2**16 else LONG8 if directory.big else LONG
        try:
            data = struct.pack(f"{directory.order}{len(numbers)}{INTEGERS[kind]}", *numbers)
        except struct.error as error:
            raise DirectoryError("too large for a TIFF file") from error
        fields[tag] = Field(kind, len(numbers), data)
    return with_fields(directory, fields, dropped=changes.keys(), payload=payload)


def end_of(directory: Directory) -> int:
    """Return where the payload of `with_directory` begins."""
    size = directory.file.seek(0, io.SEEK_END)
    return size + size % 2


def _laid_out(
    fields: Fields,
    offset: int,
    order: str,
    *,
    big: bool = False,
    kept: Collection[Entry] = (),
    following: int = 0,
) -> bytes:
    """Return the bytes of a directory that stands at `offset`, its values behind it."""
    pointer, counter, layout = layouts(order, big)
    entries = {entry.tag: layout.pack(*entry[:3]) + entry.data for entry in kept}
    count = len(entries.keys() | fields.keys())
    tail_at = offset + counter.size + (layout.size + pointer.size) * count + pointer.size
    tail = bytearray()
    for tag, field in sorted(fields.items()):
        at = tail_at + len(tail)
        if not isinstance(field, Field):
            tail += _laid_out(field, at, order, big=big)
            field = Field(LONG, 1, struct.pack(order + "I", at))
        elif len(field.data) > pointer.size:
            tail += field.data + bytes(len(field.data) % 2)
            field = field._replace(data=pointer.pack(at))
        data = field.data.ljust(pointer.size, b"\0")
        entries[tag] = layout.pack(tag, field.kind, field.elements) + data
    table = b"".join(entry for _, entry in sorted(entries.items()))
    return counter.pack(count) + table + pointer.pack(following) + tail
