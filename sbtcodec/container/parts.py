"""What a `.sbt` file is made of: header, layers of parts, chunks; every range is checked here."""

import string
from dataclasses import dataclass
from enum import IntEnum

from sbtcodec.arguments import shown
from sbtcodec.errors import ArgumentError
from sbtcodec.grid import Box, tiles_of
from sbtcodec.limits import MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_DETAIL_LAYERS, MAX_SIDE

FORMAT_VERSION = 3
MAGIC = 0xB5  # the first byte; the upper half of the second one is MAGIC_NIBBLE
MAGIC_NIBBLE = 0xA0
OLD_MAGIC = b"\xb5\x54"  # of versions 1 and 2
HEADER_BYTES = 8
CHECK_BYTES = 2  # of a layer's checks, but for the last layer that the header declares:
LAST_CHECK_BYTES = (3, 2, 2, 4)  # by the number of detail layers; the last entry from there on

FLAGS_FOLLOW = 1  # in the second byte
VERSION_BITS = 0b111
CHUNK_FLAG = 1  # in the flags
LOOK_BITS = 0b110
GRAYSCALE_FLAG = 1 << 31  # in the sides
CRC_BYTES = 4
_LETTERS = frozenset(string.ascii_letters)


class Look(IntEnum):
    """How whoever made a file meant its picture to be decoded; a hint."""

    UNSAID = 0
    FAITHFUL = 1
    VIVID = 2
    RESERVED = 3

    @classmethod
    def meant(cls, name: str | None) -> "Look":
        """The look of a name, "faithful" or "vivid"; unsaid without one.

        Raises:
            ArgumentError: it is another name.
        """
        if name is None:
            return cls.UNSAID
        if name not in ("faithful", "vivid"):
            raise ArgumentError(f"look is {shown(name)}, expected 'faithful' or 'vivid'")
        return cls[name.upper()]


@dataclass(frozen=True)
class Header:
    """What the header says, except whether there are chunks.

    `version` is 3, `model` 1..255, `width` and `height` 1..16383 pixels, `quality` the code 0..255,
    `detail_layers` 0..7. Raises `ValueError` outside of these ranges.
    """

    version: int
    model: int
    width: int
    height: int
    quality: int
    detail_layers: int
    grayscale: bool = False
    look: Look = Look.UNSAID

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.version != FORMAT_VERSION:
            raise ValueError(f"version is {self.version}, expected {FORMAT_VERSION}")
        check_range("model", self.model, 1, 255)
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_range("quality", self.quality, 0, 255)
        check_range("detail_layers", self.detail_layers, 0, MAX_DETAIL_LAYERS)

    def check_bytes(self, layer: int) -> int:
        """The bytes of a layer's checks; 0 is the base layer."""
        if layer < self.detail_layers:
            return CHECK_BYTES
        return LAST_CHECK_BYTES[min(self.detail_layers, len(LAST_CHECK_BYTES) - 1)]

    @property
    def tiles(self) -> tuple[Box, ...]:
        """The tiles, in global tokens (32 x 32 pixels), in the order of the parts."""
        return tiles_of(self.width, self.height)


@dataclass(frozen=True)
class Part:
    """One tile's part of a layer: coded bytes, and the check of what they decode to.

    `check` is the beginning of the check's four bytes, as long as `Header.check_bytes` says.
    """

    coded: bytes
    check: bytes

    @property
    def length(self) -> int:
        """The bytes of the part in the file, its check included."""
        return len(self.coded) + len(self.check)


@dataclass(frozen=True)
class Layer:
    """One layer: a part for each tile."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Chunk:
    """Data beside the pixels: `kind` is four ASCII letters, `data` at most 2**24 bytes."""

    kind: str
    data: bytes

    def __post_init__(self) -> None:
        """Check the kind and the size."""
        if not is_kind(self.kind):
            raise ValueError(f"chunk kind is {self.kind!r}, expected four ASCII letters")
        check_range("chunk length", len(self.data), 0, MAX_CHUNK_BYTES)


@dataclass(frozen=True)
class Container:
    """The content of a file: at least the base layer, then the detail layers that are there.

    `cut_inside` says that the data ended inside a layer, which is not among `layers`.
    """

    header: Header
    layers: tuple[Layer, ...]
    chunks: tuple[Chunk, ...] = ()
    cut_inside: bool = False

    def __post_init__(self) -> None:
        """Check the numbers of layers and chunks."""
        check_range("number of layers", len(self.layers), 1, 1 + self.header.detail_layers)
        tiles = len(self.header.tiles)
        for index, layer in enumerate(self.layers):
            check_range("number of parts", len(layer.parts), tiles, tiles)
            size = self.header.check_bytes(index)
            for part in layer.parts:
                check_range("length of a check", len(part.check), size, size)
        check_range("number of chunks", len(self.chunks), 0, MAX_CHUNKS)

    @property
    def coded_bytes(self) -> int:
        """Bytes of coded symbols: without header, tables, chunks and checks."""
        return sum(len(part.coded) for layer in self.layers for part in layer.parts)

    @property
    def complete(self) -> bool:
        """Whether every declared layer is there."""
        return len(self.layers) == 1 + self.header.detail_layers


def is_kind(kind: str) -> bool:
    """Whether a chunk may have this type: four ASCII letters."""
    return len(kind) == 4 and _LETTERS.issuperset(kind)


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raise `ValueError` unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")
