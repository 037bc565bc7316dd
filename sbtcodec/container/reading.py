"""Reading a `.sbt` file: every way in which one can be bad ends in one sentence."""

import zlib
from collections.abc import Iterator

from sbtcodec.container.fields import CutError, Reader, unzigzag
from sbtcodec.container.parts import (
    CHUNK_FLAG,
    CRC_BYTES,
    FLAGS_FOLLOW,
    FORMAT_VERSION,
    GRAYSCALE_FLAG,
    HEADER_BYTES,
    LOOK_BITS,
    MAGIC,
    MAGIC_NIBBLE,
    OLD_MAGIC,
    VERSION_BITS,
    Chunk,
    Container,
    Header,
    Layer,
    Look,
    Part,
    is_kind,
)
from sbtcodec.errors import InvalidFileError
from sbtcodec.limits import MAX_CHUNK_BYTES, MAX_CHUNKS, MAX_DETAIL_LAYERS, MAX_SIDE


def is_sbt(prefix: bytes) -> bool:
    """Whether a file that starts with these bytes (two are enough) is meant to be an `.sbt`."""
    start = prefix[:2]
    ours = len(start) == 2 and start[0] == MAGIC and start[1] & 0xF0 == MAGIC_NIBBLE
    return ours or start == OLD_MAGIC


def unpack(data: bytes, *, allow_partial: bool = False) -> Container:
    """Read a file; the inverse of `pack`.

    A file cut exactly after a layer gives the layers before the cut. A file cut inside a detail
    layer is refused, unless `allow_partial` asks for the complete layers before it.

    Raises `InvalidFileError` for every way in which a file can be bad, except damage inside the
    coded bytes: that is found by the checks, after decoding.
    """
    reader = Reader(data)
    header, lengths, has_chunks = read_front(reader)
    chunks = tuple(read_chunks(reader)) if has_chunks else ()
    layers: list[Layer] = []
    for index, parts in enumerate(lengths):
        if index > 0 and reader.left == 0:
            break
        size = header.check_bytes(index)
        left, expected = reader.left, sum(size if n is None else n for n in parts)
        if left < expected:
            if index > 0 and allow_partial:
                return Container(header, tuple(layers), chunks, cut_inside=True)
            raise _cut_layer(header, index, left, expected, exactly=parts[-1] is not None)
        layers.append(Layer(tuple(_read_part(reader, length, size) for length in parts)))
    return Container(header, tuple(layers), chunks)


def _read_part(reader: Reader, length: int | None, check_bytes: int) -> Part:
    body = reader.take(reader.left if length is None else length, "a layer")
    return Part(body[:-check_bytes], body[-check_bytes:])


def _read_header(reader: Reader) -> tuple[Header, bool]:
    """Read the header, and whether there are chunks."""
    start = reader.take(min(reader.left, HEADER_BYTES), "the header")
    if not start:
        raise InvalidFileError("the file is empty, expected an .sbt file")
    if not is_sbt(start):
        found = start[:2].hex(" ").upper()
        raise InvalidFileError(
            f"this is not an .sbt file: found {found} at its start, expected {MAGIC:02X}"
            f" {MAGIC_NIBBLE | FORMAT_VERSION << 1:02X}; only files that sbtcodec wrote can be"
            " decoded"
        )
    if start[:2] == OLD_MAGIC:
        raise InvalidFileError(
            f"the file has format version 1 or 2, expected {FORMAT_VERSION};"
            " sbtcodec 0.1 and 0.2 read these, and nothing later"
        )
    if (version := start[1] >> 1 & VERSION_BITS) != FORMAT_VERSION:
        raise InvalidFileError(
            f"the file has format version {version}, expected {FORMAT_VERSION};"
            " a newer sbtcodec may read it, otherwise it is damaged"
        )
    if len(start) < HEADER_BYTES:
        raise CutError(
            f"the file is cut inside the header: found {len(start)} bytes,"
            f" expected {HEADER_BYTES}; get the whole file"
        )
    flags = reader.take(1, "the flags")[0] if start[1] & FLAGS_FOLLOW else 0
    if start[1] & FLAGS_FOLLOW and (flags == 0 or flags & ~(CHUNK_FLAG | LOOK_BITS)):
        raise InvalidFileError(
            f"the file has the flags {flags:02X}, expected 01 to 07;"
            " a newer sbtcodec may read it, otherwise it is damaged"
        )
    sides = int.from_bytes(start[3:7], "little")
    try:
        header = Header(
            version=FORMAT_VERSION,
            model=start[2],
            width=sides & MAX_SIDE,
            height=sides >> 14 & MAX_SIDE,
            quality=start[7],
            detail_layers=sides >> 28 & MAX_DETAIL_LAYERS,
            grayscale=bool(sides & GRAYSCALE_FLAG),
            look=Look((flags & LOOK_BITS) >> 1),
        )
    except ValueError as error:
        raise InvalidFileError(f"the header is damaged: {error}") from error
    return header, bool(flags & CHUNK_FLAG)


def read_front(reader: Reader) -> tuple[Header, list[list[int | None]], bool]:
    """Read the header, the lengths of each layer's parts (None for the last), the chunk flag."""
    header, has_chunks = _read_header(reader)
    lengths: list[list[int | None]] = []
    usual = usual_lengths(header)
    for index in range(header.detail_layers + 1):
        name = layer_name(header, index)
        last = index == header.detail_layers
        lengths.append([])
        for expected in usual[:-1] if last else usual:
            stored = reader.integer(f"the length of the {name}")
            coded = stored if index > 0 else expected + unzigzag(stored)
            if coded < 0:
                raise InvalidFileError(
                    f"the {name} has {coded} coded bytes, expected none or more;"
                    " the file is damaged"
                )
            lengths[-1].append(coded + header.check_bytes(index))
    lengths[-1].append(None)
    return header, lengths, has_chunks


def usual_lengths(header: Header) -> list[int]:
    """What the base layer's lengths are stored relative to: two bytes a token of each tile."""
    return [2 * tile.height * tile.width for tile in header.tiles]


def read_chunks(reader: Reader) -> Iterator[Chunk]:
    """Read the chunk section, one chunk after the other, each whole and checked."""
    count = reader.integer("the number of chunks")
    if not 1 <= count <= MAX_CHUNKS:
        raise InvalidFileError(
            f"the file declares {count} chunks, expected 1 to {MAX_CHUNKS}; it is damaged"
        )
    for number in range(1, count + 1):
        what = f"chunk {number} of {count}"
        raw = reader.take(4, what)
        kind = raw.decode("latin-1")
        if not is_kind(kind):
            raise InvalidFileError(
                f"{what} has the type {raw.hex(' ').upper()}, expected four ASCII letters;"
                " the file is damaged"
            )
        length = reader.integer(f"the length of {what}")
        if length > MAX_CHUNK_BYTES:
            raise InvalidFileError(
                f"{what} ({kind}) declares {length} bytes, expected at most {MAX_CHUNK_BYTES};"
                " the file is damaged"
            )
        data = reader.take(length, what)
        stored = int.from_bytes(reader.take(CRC_BYTES, what), "little")
        if stored != (computed := zlib.crc32(data, zlib.crc32(raw))):
            raise InvalidFileError(
                f"{what} ({kind}) is damaged: its bytes have the CRC {computed:08X},"
                f" expected {stored:08X}; get the file again"
            )
        yield Chunk(kind, data)


def _cut_layer(
    header: Header, index: int, found: int, least: int, *, exactly: bool
) -> InvalidFileError:
    expected = least if exactly else f"at least {least}"
    where, advice = "the base layer", "nothing can be decoded, get the whole file"
    if index > 0:
        where, advice = layer_name(header, index), "allow_partial=True decodes the layers before it"
    return InvalidFileError(
        f"the file is cut inside {where}: found {found} bytes, expected {expected}; {advice}"
    )


def layer_name(header: Header, index: int) -> str:
    """What a layer is called in messages: 0 is the base layer."""
    return f"detail layer {index} of {header.detail_layers}" if index else "base layer"
