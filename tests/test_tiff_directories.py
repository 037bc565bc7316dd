"""Directories of TIFF files: what damaged and hostile ones cost, and what rewriting keeps."""

import io
import struct

import pytest

from sbtcodec.image.exif import descriptive, without_orientation, without_thumbnail
from sbtcodec.image.tiff import (
    DirectoryError,
    Field,
    first_directory,
    nested,
    read_directory,
)
from sbtcodec.image.tiff_writing import built, with_directory, with_fields

SUB_IFDS = 330


class Counted(io.BytesIO):
    """A file that counts the bytes that are read of it."""

    read_bytes = 0

    def read(self, size=-1):
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def entries(*fields, order="<"):
    """A directory of (tag, type, count, value or offset), without the next one's offset."""
    packed = [struct.pack(order + "HHII", *field) for field in fields]
    return struct.pack(order + "H", len(fields)) + b"".join(packed)


def overlapping(count=4096, size=2**16):
    """EXIF data whose EXIF directory has many values, each of nearly the whole file."""
    inner = 8 + 2 + 12 + 4
    fields = [(tag, 7, size, inner) for tag in range(1, count + 1)]
    head = b"II*\0" + struct.pack("<I", 8) + entries((0x8769, 4, 1, inner)) + bytes(4)
    return (head + entries(*fields) + bytes(4)).ljust(inner + size, b"\xab")


def test_values_that_overlap_are_no_more_than_their_file():
    data = overlapping()
    assert len(descriptive(data)) < 2 * len(data)
    file = Counted(data)
    assert read_directory(file, 26).fields()
    assert file.read_bytes < 3 * len(data)
    for clean in (without_orientation(data), without_thumbnail(data, (1, 1))[0]):
        assert clean == data


def test_nested_directories_are_read_once_however_many_point_to_them():
    table = 8 + 2 + 12 + 4
    inner = table + 4 * 256
    many = entries(*((tag, 3, 1, 7) for tag in range(4096)))
    data = b"II*\0" + struct.pack("<I", 8) + entries((SUB_IFDS, 4, 256, table)) + bytes(4)
    data += struct.pack("<256I", *[inner] * 256) + many + bytes(4)
    file = Counted(data)
    found = nested([read_directory(file)] * 100, SUB_IFDS)
    assert [len(directory.entries) for directory in found] == [4096]
    assert file.read_bytes < 4 * len(data)


def test_no_more_than_256_directories_are_followed():
    pages = b"".join(
        struct.pack("<HHHIII", 1, 256, 4, 1, number, 8 + 18 * (number + 1)) for number in range(999)
    )
    data = b"II*\0" + struct.pack("<I", 8) + pages
    assert len(read_directory(io.BytesIO(data)).pages()) == 256


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_a_directory_that_is_cut_is_an_error(big, order):
    mark = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head = mark + struct.pack(order + ("HHQ" if big else "I"), *((8, 0, 16) if big else (8,)))
    body = struct.pack(order + ("QHHQQ" if big else "HHHII"), 1, 256, 16 if big else 4, 1, 9)
    assert read_directory(io.BytesIO(head + body)).number(256) == 9  # some lack the next offset
    for size in range(len(head + body)):
        with pytest.raises(DirectoryError):
            read_directory(io.BytesIO((head + body)[:size]))
    crowd = struct.pack(order + ("Q" if big else "H"), 4097)
    with pytest.raises(DirectoryError, match="4097 entries"):
        read_directory(io.BytesIO(head + crowd + bytes(20 * 4097)))


def test_integers_beyond_the_end_of_the_file_are_an_error_and_ask_for_no_memory():
    data = b"II*\0" + struct.pack("<I", 8) + entries((256, 4, 2**30, 8)) + bytes(4)
    directory = read_directory(io.BytesIO(data))
    for read in (directory.number, directory.numbers):
        with pytest.raises(DirectoryError, match="it ends before"):
            read(256)
    assert directory.fields() == {}


@pytest.mark.parametrize("order", "<>")
def test_what_is_built_is_read_again(order):
    text, number = Field(2, 6, b"Maker\0"), Field(3, 1, struct.pack(order + "H", 7))
    data = built({271: text, 0x8769: {1: number, 2: text}}, order)
    directory = first_directory(data)
    assert directory.fields()[271].data == text.data
    (inner,) = nested([directory], 0x8769)
    assert inner.number(1) == 7
    assert inner.fields()[2].data == text.data


@pytest.mark.parametrize("order", "<>")
def test_rewriting_keeps_other_fields_and_the_pages_that_follow(order):
    text = Field(2, 6, b"Maker\0")
    data = built({256: Field(4, 1, struct.pack(order + "I", 5)), 271: text}, order)
    changed = with_fields(first_directory(data), {305: text}, following=8)
    directory = first_directory(changed)
    assert [*directory.entries] == [256, 271, 305]
    assert directory.number(256) == 5
    assert len(directory.pages()) == 2
    alone = first_directory(with_directory(directory, {256: (70000, 2), 271: None}, b"abc"))
    assert alone.numbers(256) == (70000, 2)
    assert [*alone.entries] == [256, 305]
    assert len(alone.pages()) == 1
    with pytest.raises(DirectoryError, match="too large"):
        with_directory(directory, {256: (2**32,)})
