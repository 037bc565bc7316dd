"""The `.sbt` file, to the byte; what the layers mean is left to `sbtcodec.entropy`.

Format version 2. Integers are little-endian. A varint is LEB128: seven bits a byte, lowest first,
the top bit set on every byte but the last, at most four bytes, and never longer than needed.

    offset  bytes  content
    0       2      magic: B5 54
    2       1      bits 0-6    format version: 2; any other version is refused
                   bit  7      the picture is grayscale: the mean of the decoded channels
    3       1      model: 1..255, the stable number of the model in the weights manifest
    4       4      bits  0-13  width in pixels, 1..16383
                   bits 14-27  height in pixels, 1..16383
                   bit  28     chunk flag: a chunk section is present
                   bits 29-31  number of detail layers, 0..4
    8       1      quality code, 0..255; on the user's scale, quality = code * 100 / 255
    9       ...    part table: the length of every part but the last, one varint each
            ...    chunk section, if the chunk flag is set
            ...    layer section: the base layer, then the detail layers in order, without gaps

Parts. The picture is cut into tiles of 1024 x 1024 pixels, row by row, those at the right and lower
edge holding what remains; nearly all pictures on screens have one or a few. Each layer consists of
one part for each tile, in that order. The parts of a tile can be decoded without those of others.

Part table. The length of a part counts its coded bytes and its check, so it is at least 3. In the
base layer it is stored as zigzag(length - 2 * N), where N is the number of global tokens of the
tile, ceil(width / 32) * ceil(height / 32) of its sides, and zigzag(d) = 2 * d for d >= 0, else
-2 * d - 1: usually one byte. In detail layers it is stored as it is. The last part of the last
layer has no entry: it is what remains of the file.

Chunk section. A varint count, 1..16, then for each chunk:

    4 bytes   type: four ASCII letters
    varint    length of the data, at most 2**24
    ...       data
    4 bytes   CRC-32 of type and data

Chunks hold what is not pixels. A reader skips the types that it does not know.

Part. The coded bytes, then a 3-byte check: the low 24 bits of a CRC-32 over the decoded symbols. It
starts from s + i + 8 * t for layer i (0 is the base layer) and tile t, modulo 2**32, where s is the
CRC-32 of the nine header bytes with the chunk flag cleared, so that adding or removing chunks
leaves the checks valid, followed by the 32 bytes of the SHA-256 of the weights. The symbols of the
base layer are bytes, the levels of dimension 0 row by row, then those of dimension 1, and so on;
those of a detail layer are signed 16-bit integers, row by row, all channels of a cell together. The
check finds damage that the entropy decoder cannot, and a decoder that disagrees with the encoder.

A file that ends exactly after a complete layer is valid: it holds fewer layers than it declares.
The end of the last part is not stored, so only its check tells whether it is whole.
"""

import string
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from sbtcodec.errors import InvalidFileError
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

_CHUNK_FLAG = 1 << 28
_GRAYSCALE_FLAG = 1 << 7
_VARINT_BYTES = 4
_CRC_BYTES = 4
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
        _check_range("model", self.model, 1, 255)
        _check_range("width", self.width, 1, MAX_SIDE)
        _check_range("height", self.height, 1, MAX_SIDE)
        _check_range("quality", self.quality, 0, 255)
        _check_range("detail_layers", self.detail_layers, 0, MAX_DETAIL_LAYERS)

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
        _check_range("check", self.check, 0, 2 ** (8 * CHECK_BYTES) - 1)

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
        if not _is_kind(self.kind):
            raise ValueError(f"chunk kind is {self.kind!r}, expected four ASCII letters")
        _check_range("chunk length", len(self.data), 0, MAX_CHUNK_BYTES)


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
        _check_range("number of layers", len(self.layers), 1, 1 + self.header.detail_layers)
        tiles = len(self.header.tiles)
        for layer in self.layers:
            _check_range("number of parts", len(layer.parts), tiles, tiles)
        _check_range("number of chunks", len(self.chunks), 0, MAX_CHUNKS)

    @property
    def complete(self) -> bool:
        """Whether every declared layer is there."""
        return len(self.layers) == 1 + self.header.detail_layers


@dataclass(frozen=True)
class LayerInfo:
    """What a file says of a layer (`None`: the last layer's length is not stored) and has of it."""

    name: str
    declared_bytes: int | None
    present_bytes: int
    complete: bool


@dataclass(frozen=True)
class FileInfo:
    """What can be told of a file without decoding it; sizes in bytes, quality from 0 to 100.

    `complete` is True when no layer is missing or seen to be cut; `overhead_bytes` counts what is
    not a layer; `chunks` holds the kind and data size of each chunk; `tiles` counts the tiles.
    """

    version: int
    model: int
    width: int
    height: int
    quality: float
    layers: tuple[LayerInfo, ...]
    chunks: tuple[tuple[str, int], ...]
    complete: bool
    file_bytes: int
    overhead_bytes: int
    bpp: float
    grayscale: bool
    tiles: int


class _CutError(InvalidFileError):
    """The data ended inside the field that was being read."""


def is_sbt(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (two are enough) is meant to be an `.sbt`."""
    return prefix[: len(MAGIC)] == MAGIC


def header_bytes(header: Header) -> bytes:
    """Return the nine header bytes with the chunk flag cleared: the seed of the symbol checks."""
    sides = header.width | header.height << 14 | header.detail_layers << 29
    version = header.version | (_GRAYSCALE_FLAG if header.grayscale else 0)
    start = MAGIC + bytes((version, header.model))
    return start + sides.to_bytes(4, "little") + bytes((header.quality,))


def pack(container: Container) -> bytes:
    """Return the file of a complete container.

    Raises `ValueError` if layers are missing (their lengths, which the table holds, are not known:
    to shorten a file, cut its bytes), or if a layer is too long for the table.
    """
    parts = (
        part.coded + part.check.to_bytes(CHECK_BYTES, "little")
        for layer in container.layers
        for part in layer.parts
    )
    return _pack_front(container) + b"".join(parts)


def unpack(data: bytes, *, allow_partial: bool = False) -> Container:
    """Read a file; the inverse of `pack`.

    A file cut exactly after a layer gives the layers before the cut. A file cut inside a detail
    layer is refused, unless `allow_partial` asks for the complete layers before it.

    Raises `InvalidFileError` for every way in which a file can be bad, except damage inside the
    coded bytes: that is found by the checks, after decoding.
    """
    reader = _Reader(data)
    header, lengths, has_chunks = _read_front(reader)
    chunks = tuple(_read_chunks(reader)) if has_chunks else ()
    layers: list[Layer] = []
    for index, parts in enumerate(lengths):
        if index > 0 and reader.left == 0:
            break
        left, expected = reader.left, sum(CHECK_BYTES if n is None else n for n in parts)
        if left < expected:
            if index > 0 and allow_partial:
                return Container(header, tuple(layers), chunks, cut_inside=True)
            raise _cut_layer(header, index, left, None if parts[-1] is None else expected)
        layers.append(Layer(tuple(_read_part(reader, length) for length in parts)))
    return Container(header, tuple(layers), chunks)


def overhead(container: Container) -> int:
    """Return the bytes of the file of a complete container that belong to no layer.

    Raises `ValueError` as `pack` does.
    """
    return len(_pack_front(container))


def describe(data: bytes) -> FileInfo:
    """Tell what a file holds, also when it is cut anywhere behind its layer table.

    Raises `InvalidFileError` if the header or the table is cut or bad, or a chunk is damaged.
    """
    reader = _Reader(data)
    header, lengths, has_chunks = _read_front(reader)
    chunks: list[tuple[str, int]] = []
    try:
        for chunk in _read_chunks(reader) if has_chunks else ():
            chunks.append((chunk.kind, len(chunk.data)))
    except _CutError:
        reader.take(reader.left, "the rest")  # no layer has arrived
    overhead_bytes = len(data) - reader.left
    layers = []
    for index, parts in enumerate(lengths):
        declared = None if parts[-1] is None else sum(n or 0 for n in parts)
        present = reader.left if declared is None else min(declared, reader.left)
        reader.take(present, "a layer")
        least = declared or sum(CHECK_BYTES if n is None else n for n in parts)
        name = _layer_name(header, index)
        layers.append(LayerInfo(name, declared, present, complete=present >= least))
    return FileInfo(
        version=header.version,
        model=header.model,
        width=header.width,
        height=header.height,
        quality=header.quality * 100 / 255,
        layers=tuple(layers),
        chunks=tuple(chunks),
        complete=all(layer.complete for layer in layers),
        file_bytes=len(data),
        overhead_bytes=overhead_bytes,
        bpp=8 * len(data) / (header.width * header.height),
        grayscale=header.grayscale,
        tiles=len(header.tiles),
    )


class _Reader:
    """A position in the data that never passes its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._offset

    def take(self, size: int, what: str) -> bytes:
        """Return the next `size` bytes; `what` names them in the error."""
        if size > self.left:
            raise _CutError(
                f"the file is cut inside {what}: found {self.left} bytes, expected {size};"
                " get the whole file"
            )
        self._offset += size
        return self._data[self._offset - size : self._offset]

    def varint(self, what: str) -> int:
        value = 0
        for index in range(_VARINT_BYTES):
            byte = self.take(1, what)[0]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise InvalidFileError(
                        f"{what} is stored in {index + 1} bytes, expected the shortest form;"
                        " the file is damaged"
                    )
                return value
        raise InvalidFileError(
            f"{what} runs over {_VARINT_BYTES} bytes, expected fewer; the file is damaged"
        )


def _read_part(reader: _Reader, length: int | None) -> Part:
    body = reader.take(reader.left if length is None else length, "a layer")
    return Part(body[:-CHECK_BYTES], int.from_bytes(body[-CHECK_BYTES:], "little"))


def _read_front(reader: _Reader) -> tuple[Header, list[list[int | None]], bool]:
    """Read the header, the lengths of each layer's parts (None for the last), the chunk flag."""
    start = reader.take(min(reader.left, HEADER_BYTES), "the header")
    if not is_sbt(start):
        found = start[: len(MAGIC)].hex(" ").upper() or "an empty file"
        raise InvalidFileError(
            f"this is not an .sbt file: found {found} at its start, expected"
            f" {MAGIC.hex(' ').upper()}; only files written by sbtcodec can be decoded"
        )
    if len(start) > 2 and (found_version := start[2] & ~_GRAYSCALE_FLAG) != FORMAT_VERSION:
        raise InvalidFileError(
            f"the file has format version {found_version}, expected {FORMAT_VERSION};"
            " a newer sbtcodec may read it, otherwise it is damaged"
        )
    if len(start) < HEADER_BYTES:
        raise _CutError(
            f"the file is cut inside the header: found {len(start)} bytes,"
            f" expected {HEADER_BYTES}; get the whole file"
        )
    sides = int.from_bytes(start[4:8], "little")
    fields = {
        "model": start[3],
        "width": sides & MAX_SIDE,
        "height": sides >> 14 & MAX_SIDE,
        "detail_layers": sides >> 29,
    }
    try:
        header = Header(
            version=FORMAT_VERSION,
            quality=start[8],
            grayscale=bool(start[2] & _GRAYSCALE_FLAG),
            **fields,
        )
    except ValueError as error:
        raise InvalidFileError(f"the header is damaged: {error}") from error

    lengths: list[list[int | None]] = []
    usual = _usual_lengths(header)
    for index in range(header.detail_layers + 1):
        name = _layer_name(header, index)
        last = index == header.detail_layers
        lengths.append([])
        for expected in usual[:-1] if last else usual:
            stored = reader.varint(f"the length of the {name}")
            length = stored if index > 0 else expected + _unzigzag(stored)
            if length < CHECK_BYTES:
                raise InvalidFileError(
                    f"the {name} has a length of {length}, expected at least {CHECK_BYTES};"
                    " the file is damaged"
                )
            lengths[-1].append(length)
    lengths[-1].append(None)
    return header, lengths, bool(sides & _CHUNK_FLAG)


def _usual_lengths(header: Header) -> list[int]:
    """What the base layer's lengths are stored relative to: two bytes a token of each tile."""
    return [2 * tile.height * tile.width for tile in header.tiles]


def _read_chunks(reader: _Reader) -> Iterator[Chunk]:
    count = reader.varint("the number of chunks")
    if not 1 <= count <= MAX_CHUNKS:
        raise InvalidFileError(
            f"the file declares {count} chunks, expected 1 to {MAX_CHUNKS}; it is damaged"
        )
    for number in range(1, count + 1):
        what = f"chunk {number} of {count}"
        raw = reader.take(4, what)
        kind = raw.decode("latin-1")
        if not _is_kind(kind):
            raise InvalidFileError(
                f"{what} has the type {raw.hex(' ').upper()}, expected four ASCII letters;"
                " the file is damaged"
            )
        length = reader.varint(f"the length of {what}")
        if length > MAX_CHUNK_BYTES:
            raise InvalidFileError(
                f"{what} ({kind}) declares {length} bytes, expected at most {MAX_CHUNK_BYTES};"
                " the file is damaged"
            )
        data = reader.take(length, what)
        stored = int.from_bytes(reader.take(_CRC_BYTES, what), "little")
        if stored != (computed := zlib.crc32(data, zlib.crc32(raw))):
            raise InvalidFileError(
                f"{what} ({kind}) is damaged: its bytes have the CRC {computed:08X},"
                f" expected {stored:08X}; get the file again"
            )
        yield Chunk(kind, data)


def _pack_front(container: Container) -> bytes:
    """Return all bytes before the first layer; the counterpart of `_read_front`, `_read_chunks`."""
    header = container.header
    if not container.complete:
        raise ValueError(
            f"the container holds {len(container.layers)} layers, expected"
            f" {1 + header.detail_layers}; cut the bytes of the complete file instead"
        )
    front = bytearray(header_bytes(header))
    entries = [part.length for part in container.layers[0].parts]
    entries = [_zigzag(n - usual) for n, usual in zip(entries, _usual_lengths(header), strict=True)]
    entries += [part.length for layer in container.layers[1:] for part in layer.parts]
    for entry in entries[:-1]:
        front += _varint(entry)
    if container.chunks:
        front[7] |= _CHUNK_FLAG >> 24
        front += _varint(len(container.chunks))
    for chunk in container.chunks:
        kind = chunk.kind.encode("ascii")
        crc = zlib.crc32(chunk.data, zlib.crc32(kind))
        front += kind + _varint(len(chunk.data)) + chunk.data + crc.to_bytes(_CRC_BYTES, "little")
    return bytes(front)


def _cut_layer(header: Header, index: int, found: int, length: int | None) -> InvalidFileError:
    expected = f"at least {CHECK_BYTES}" if length is None else length
    where, advice = "the base layer", "nothing can be decoded, get the whole file"
    if index > 0:
        where, advice = _layer_name(header, index), "--allow-partial decodes the layers before it"
    return InvalidFileError(
        f"the file is cut inside {where}: found {found} bytes, expected {expected}; {advice}"
    )


def _layer_name(header: Header, index: int) -> str:
    return f"detail layer {index} of {header.detail_layers}" if index else "base layer"


def _varint(value: int) -> bytes:
    _check_range("a length", value, 0, MAX_VARINT)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _unzigzag(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value + 1) // 2


def _is_kind(kind: str) -> bool:
    return len(kind) == 4 and _LETTERS.issuperset(kind)


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")
