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

from sbtcodec.container.description import FileInfo, LayerInfo, describe
from sbtcodec.container.limits import check_pixels
from sbtcodec.container.parts import (
    CHECK_BYTES,
    DEFAULT_MAX_PIXELS,
    FORMAT_VERSION,
    HEADER_BYTES,
    MAGIC,
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    MAX_DETAIL_LAYERS,
    MAX_SIDE,
    MAX_VARINT,
    Chunk,
    Container,
    Header,
    Layer,
    Part,
)
from sbtcodec.container.reading import is_sbt, unpack
from sbtcodec.container.writing import header_bytes, overhead, pack

__all__ = [
    "CHECK_BYTES",
    "DEFAULT_MAX_PIXELS",
    "FORMAT_VERSION",
    "HEADER_BYTES",
    "MAGIC",
    "MAX_CHUNKS",
    "MAX_CHUNK_BYTES",
    "MAX_DETAIL_LAYERS",
    "MAX_SIDE",
    "MAX_VARINT",
    "Chunk",
    "Container",
    "FileInfo",
    "Header",
    "Layer",
    "LayerInfo",
    "Part",
    "check_pixels",
    "describe",
    "header_bytes",
    "is_sbt",
    "overhead",
    "pack",
    "unpack",
]
