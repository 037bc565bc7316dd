"""Writing a `.sbt` file."""

import zlib

from sbtcodec.container.fields import varint, zigzag
from sbtcodec.container.parts import (
    CHECK_BYTES,
    CHUNK_FLAG,
    CRC_BYTES,
    GRAYSCALE_FLAG,
    MAGIC,
    Container,
    Header,
)
from sbtcodec.container.reading import usual_lengths


def header_bytes(header: Header) -> bytes:
    """Return the nine header bytes with the chunk flag cleared: the seed of the symbol checks."""
    sides = header.width | header.height << 14 | header.detail_layers << 29
    version = header.version | (GRAYSCALE_FLAG if header.grayscale else 0)
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
    front = bytearray(header_bytes(header))
    entries = [part.length for part in container.layers[0].parts]
    entries = [zigzag(n - usual) for n, usual in zip(entries, usual_lengths(header), strict=True)]
    entries += [part.length for layer in container.layers[1:] for part in layer.parts]
    for entry in entries[:-1]:
        front += varint(entry)
    if container.chunks:
        front[7] |= CHUNK_FLAG >> 24
        front += varint(len(container.chunks))
    for chunk in container.chunks:
        kind = chunk.kind.encode("ascii")
        crc = zlib.crc32(chunk.data, zlib.crc32(kind))
        front += kind + varint(len(chunk.data)) + chunk.data + crc.to_bytes(CRC_BYTES, "little")
    return bytes(front)
