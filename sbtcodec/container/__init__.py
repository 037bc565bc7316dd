"""The `.sbt` file, to the byte: `docs/format.md` is the specification, this package follows it.

Read in this order:

    parts         header, layers of parts, chunks; every range
    fields        integers of one to four bytes, never past the end of the data
    reading       `unpack`: bytes to a container; every way in which a file can be bad
    writing       `pack`: a container to bytes
    description   `describe`: what can be told without decoding
    quality       the number that people ask for, and the code in the file
    pixel_limit   files refused for the size that they declare

What the coded bytes of a part mean is left to `sbtcodec.entropy` and `sbtcodec.latents.symbols`.
"""

from sbtcodec.container.description import FileInfo, LayerInfo, describe
from sbtcodec.container.parts import (
    FORMAT_VERSION,
    HEADER_BYTES,
    Chunk,
    Container,
    Header,
    Layer,
    Look,
    Part,
)
from sbtcodec.container.pixel_limit import check_pixels
from sbtcodec.container.quality import code_of, quality_of
from sbtcodec.container.reading import is_sbt, unpack
from sbtcodec.container.writing import checked_header, overhead, pack

__all__ = [
    "FORMAT_VERSION",
    "HEADER_BYTES",
    "Chunk",
    "Container",
    "FileInfo",
    "Header",
    "Layer",
    "LayerInfo",
    "Look",
    "Part",
    "check_pixels",
    "checked_header",
    "code_of",
    "describe",
    "is_sbt",
    "overhead",
    "pack",
    "quality_of",
    "unpack",
]
