"""What a `.sbt` file is made of: header, layers of parts, chunks; every range is checked here."""

import string
from dataclasses import dataclass

from sbtcodec.grid import Box, tiles_of

MAGIC = b"\xb5\x54"
FORMAT_VERSION = 2
HEADER_BYTES = 9
CHECK_BYTES = 3
MAX_SIDE = 16383
MAX_DETAIL_LAYERS = 4
MAX_CHUNKS = 16
MAX_CHUNK_BYTES = 2**24
MAX_VARINT = 2**28 - 1
DEFAULT_MAX_PIXELS = 2**28

CHUNK_FLAG = 1 << 28
GRAYSCALE_FLAG = 1 << 7
CRC_BYTES = 4
_LETTERS = frozenset(string.ascii_letters)


@dataclass(frozen=True)
class Header:
    """What the nine header bytes say, except the chunk flag, which follows from the chunks.

    `version` is 2, `model` 1..255, `width` and `height` 1..16383 pixels, `quality` the code 0..255,
    `detail_layers` 0..4. Raises `ValueError` outside of these ranges.
    """

    version: int
    model: int
    width: int
    height: int
    quality: int
    detail_layers: int
    grayscale: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.version != FORMAT_VERSION:
            raise ValueError(f"version is {self.version}, expected {FORMAT_VERSION}")
        check_range("model", self.model, 1, 255)
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_range("quality", self.quality, 0, 255)
        check_range("detail_layers", self.detail_layers, 0, MAX_DETAIL_LAYERS)

    @property
    def tiles(self) -> tuple[Box, ...]:
        """The tiles, in global tokens (32 x 32 pixels), in the order of the parts."""
        return tiles_of(self.width, self.height)


@dataclass(frozen=True)
class Part:
    """One tile's part of a layer: coded bytes, and the 24-bit check of what they decode to."""

    coded: bytes
    check: int

    def __post_init__(self) -> None:
        """Check that the check fits its three bytes."""
        check_range("check", self.check, 0, 2 ** (8 * CHECK_BYTES) - 1)

    @property
    def length(self) -> int:
        """The bytes of the part in the file, its check included."""
        return len(self.coded) + CHECK_BYTES


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
        for layer in self.layers:
            check_range("number of parts", len(layer.parts), tiles, tiles)
        check_range("number of chunks", len(self.chunks), 0, MAX_CHUNKS)

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
