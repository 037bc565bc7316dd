"""Writing a `.sbt` file."""

import zlib

from sbtcodec.container.fields import integer, zigzag
from sbtcodec.container.parts import (
    CHUNK_FLAG,
    CRC_BYTES,
    FLAGS_FOLLOW,
    GRAYSCALE_FLAG,
    MAGIC,
    MAGIC_NIBBLE,
    Container,
    Header,
)
from sbtcodec.container.reading import usual_lengths


def checked_header(header: Header) -> bytes:
    """Return what the symbol checks cover of a header: nine bytes, which know of no chunks."""
    return _header(header, 0) + bytes((_flags(header, has_chunks=False),))


def _header(header: Header, flags: int) -> bytes:
    sides = header.width | header.height << 14 | header.detail_layers << 28
    sides |= GRAYSCALE_FLAG if header.grayscale else 0
    second = MAGIC_NIBBLE | header.version << 1 | (FLAGS_FOLLOW if flags else 0)
    start = bytes((MAGIC, second, header.model))
    return start + sides.to_bytes(4, "little") + bytes((header.quality,))


def _flags(header: Header, *, has_chunks: bool) -> int:
    return header.look << 1 | (CHUNK_FLAG if has_chunks else 0)


def pack(container: Container) -> bytes:
    """Return the file of a complete container.

    Raises `ValueError` if layers are missing (their lengths, which the table holds, are not known:
    to shorten a file, cut its bytes), or if a layer is too long for the table.
    """
    parts = (part.coded + part.check for layer in container.layers for part in layer.parts)
    return _pack_front(container) + b"".join(parts)


def overhead(container: Container) -> int:
    """Return the bytes of the file of a complete container that belong to no layer.

    Raises `ValueError` as `pack` does.
    """
    return len(_pack_front(container))


def _pack_front(container: Container) -> bytes:
    """Return all bytes before the first layer; the counterpart of `read_front`, `read_chunks`."""
    header = container.header
    if not container.complete:
        raise ValueError(
            f"the container holds {len(container.layers)} layers, expected"
            f" {1 + header.detail_layers}; cut the bytes of the complete file instead"
        )
    flags = _flags(header, has_chunks=bool(container.chunks))
    front = bytearray(_header(header, flags))
    if flags:
        front.append(flags)
    entries = [len(part.coded) for part in container.layers[0].parts]
    entries = [zigzag(n - usual) for n, usual in zip(entries, usual_lengths(header), strict=True)]
    entries += [len(part.coded) for layer in container.layers[1:] for part in layer.parts]
    for entry in entries[:-1]:
        front += integer(entry)
    if container.chunks:
        front += integer(len(container.chunks))
    for chunk in container.chunks:
        kind = chunk.kind.encode("ascii")
        crc = zlib.crc32(chunk.data, zlib.crc32(kind))
        front += kind + integer(len(chunk.data)) + chunk.data + crc.to_bytes(CRC_BYTES, "little")
    return bytes(front)
