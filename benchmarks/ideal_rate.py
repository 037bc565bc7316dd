"""The real file against the code length that the model assigns: bytes on disk, and ideal bytes.

    python benchmarks/ideal_rate.py FOLDER [--limit N]

prints, for each quality, the means over the images of FOLDER and the worst image. The ideal counts
every coded symbol at -log2 of its integer probability, and nothing for header, lengths and checks,
whose bytes are in the last two columns.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.container import unpack
from sbtcodec.entropy.coder import DetailTables, Indices, LayerEncoder, Symbols
from sbtcodec.entropy.frequencies import TOTAL, Frequencies
from sbtcodec.entropy.units import TABLES
from sbtcodec.image.pixels import load_image


def detail_bits(tables: DetailTables, indices: Indices, q: Symbols) -> float:
    """Ideal bits of detail symbols int32 [n] under tables uint8 [n]; of the least scale none."""
    bits = 0.0
    for table in np.unique(indices[indices % TABLES > 0]):
        frequencies = tables.frequencies[table]
        chosen = frequencies[q[indices == table] + len(frequencies) // 2]
        bits -= float(np.log2((chosen + 1) / TOTAL).sum())
    return bits


@contextmanager
def counting() -> Iterator[list[float]]:
    """Within the block, every symbol that is coded adds its ideal bits to the list's one number."""
    bits = [0.0]
    levels, details = LayerEncoder.levels, LayerEncoder.details

    def count_levels(self: LayerEncoder, frequencies: Frequencies, symbols: Symbols) -> Symbols:
        chosen = frequencies[np.arange(len(symbols)), symbols]
        bits[0] -= float(np.log2((chosen + 1) / TOTAL).sum())
        return levels(self, frequencies, symbols)

    def count_details(self: LayerEncoder, indices: Indices, wanted: Symbols) -> Symbols:
        q = details(self, indices, wanted)
        bits[0] += detail_bits(self.tables, indices, q)
        return q

    LayerEncoder.levels, LayerEncoder.details = count_levels, count_details  # type: ignore[method-assign]
    try:
        yield bits
    finally:
        LayerEncoder.levels, LayerEncoder.details = levels, details  # type: ignore[method-assign]


def measure(codec: Codec, rgb: NDArray[np.uint8], quality: float | None) -> tuple[int, float, int]:
    """Bytes of the file, ideal bytes and bytes that are not coded symbols of one image.

    Globals only if `quality` is None.
    """
    with counting() as bits:
        data = codec.compress(rgb, quality or 0, globals_only=quality is None)
    return len(data), bits[0] / 8, len(data) - unpack(data).coded_bytes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=None)
    arguments = parser.parse_args()
    codec = Codec.load("cpu", precision="float32")
    raw = codec.tokenizer.fsq.bits
    paths = sorted(p for p in arguments.folder.iterdir() if p.suffix in {".png", ".jpg", ".webp"})
    images = [load_image(p).rgb for p in paths[: arguments.limit]]
    tokens = [-(-r.shape[0] // 32) * -(-r.shape[1] // 32) for r in images]
    print(f"{len(images)} images of {arguments.folder.name}, model {codec.release.name}")
    print("quality   file bytes   ideal bytes   excess     worst excess   not symbols   at most")
    for quality in (None, 0.0, 10.0, 25.0, 50.0, 75.0, 100.0):
        rows = [measure(codec, rgb, quality) for rgb in images]
        file, ideal, rest = (float(np.mean(column)) for column in zip(*rows, strict=True))
        worst, most = max(row[0] - row[1] for row in rows), max(row[2] for row in rows)
        name = "globals" if quality is None else f"{quality:.0f}"
        print(
            f"{name:8} {file:11.1f} {ideal:13.1f} {100 * (file / ideal - 1):8.2f} % "
            f"{worst:10.1f} bytes {rest:13.1f} {most:9}"
        )
        if quality is None:
            bits = raw * np.array(tokens)[:, None]
            actual, saved = 100 * (1 - 8 * np.array([row[:2] for row in rows]) / bits).mean(0)
            print(
                f"the prior saves {saved:.1f} % of {raw:.2f} bits a token, in the whole file "
                f"with header and check {actual:.1f} %"
            )


if __name__ == "__main__":
    main()
