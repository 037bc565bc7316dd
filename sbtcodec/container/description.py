"""What can be told of a `.sbt` file without decoding it, also of one that was cut."""

from dataclasses import dataclass

from sbtcodec.container.fields import CutError, Reader
from sbtcodec.container.quality import quality_of
from sbtcodec.container.reading import layer_name, read_chunks, read_front


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
    not a layer; `chunks` holds the kind and data size of each chunk; `tiles` counts the tiles;
    `look` is "unsaid", "faithful", "vivid" or "reserved".
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
    look: str


def describe(data: bytes) -> FileInfo:
    """Tell what a file holds, also when it is cut anywhere behind its layer table.

    Raises `InvalidFileError` if the header or the table is cut or bad, or a chunk is damaged.
    """
    reader = Reader(data)
    header, lengths, has_chunks = read_front(reader)
    chunks: list[tuple[str, int]] = []
    try:
        for chunk in read_chunks(reader) if has_chunks else ():
            chunks.append((chunk.kind, len(chunk.data)))
    except CutError:
        reader.take(reader.left, "the rest")  # no layer has arrived
    overhead_bytes = len(data) - reader.left
    layers = []
    for index, parts in enumerate(lengths):
        declared = None if parts[-1] is None else sum(n or 0 for n in parts)
        present = reader.left if declared is None else min(declared, reader.left)
        reader.take(present, "a layer")
        least = declared or sum(header.check_bytes(index) if n is None else n for n in parts)
        name = layer_name(header, index)
        layers.append(LayerInfo(name, declared, present, complete=present >= least))
    return FileInfo(
        version=header.version,
        model=header.model,
        width=header.width,
        height=header.height,
        quality=quality_of(header.quality),
        layers=tuple(layers),
        chunks=tuple(chunks),
        complete=all(layer.complete for layer in layers),
        file_bytes=len(data),
        overhead_bytes=overhead_bytes,
        bpp=8 * len(data) / (header.width * header.height),
        grayscale=header.grayscale,
        tiles=len(header.tiles),
        look=header.look.name.lower(),
    )
