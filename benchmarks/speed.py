"""Encoding and decoding speed with the model loaded, on images of one folder.

    python -m benchmarks.speed --data-dir FOLDER [--qualities globals,10,30,50,80] [--limit 6]
        [--repeat 3] [--out FILE]

Megapixels a second at each quality, median over images of the best of `repeat` runs, in the
processor's own precision and in float32; and the time of whole cold `sbtcodec decompress` commands.
`python -m benchmarks.ratios REVISION` measures two builds in turns.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from benchmarks.output import add_options, check, dataset_of, heading, publish, table
from sbtcodec.codec.codec import RGB, Codec
from sbtcodec.errors import SbtError
from sbtcodec.image.pixels import load_image
from sbtcodec.runtime.precision import FLOAT32

GLOBALS = "globals"


def speeds(codec: Codec, images: list[RGB], quality: str, repeat: int) -> tuple[float, float]:
    """Megapixels a second of encoding and of decoding: medians of the images' best runs.

    Args:
        codec: with the model loaded.
        images: uint8 [., ., 3].
        quality: 0 to 100, or GLOBALS.
        repeat: runs of each image, after one that warms up.
    """
    found = []
    for rgb in images:
        times = []
        for _ in range(repeat + 1):
            start = time.perf_counter()
            if quality == GLOBALS:
                data = codec.compress(rgb, globals_only=True)
            else:
                data = codec.compress(rgb, float(quality))
            middle = time.perf_counter()
            codec.decode(data)
            times.append((middle - start, time.perf_counter() - middle))
        found.append(rgb.shape[0] * rgb.shape[1] / 1e6 / np.array(times[1:]).min(0))
    encode, decode = np.median(found, 0)
    return float(encode), float(decode)


def cold_seconds(data: bytes, repeat: int) -> float:
    """Seconds of a whole `sbtcodec decompress` command: the median of `repeat`."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "x.sbt", Path(folder) / "x.png"
        source.write_bytes(data)
        command = [sys.executable, "-m", "sbtcodec", "decompress", str(source), str(target)]
        cold = []
        for _ in range(repeat):
            start = time.perf_counter()
            subprocess.run(
                [*command, "--force", "--device", "cpu"], check=True, capture_output=True
            )
            cold.append(time.perf_counter() - start)
    return float(np.median(cold))


def run(arguments: argparse.Namespace) -> None:
    """Measure, print and write the table.

    Raises:
        SbtError: there are no pictures, or the table cannot be written.
    """
    check(arguments.out, force=arguments.force)
    dataset = dataset_of(arguments.data_dir, arguments.limit)
    images = [load_image(path).rgb for path in dataset.paths]
    codecs = [Codec.load("cpu")]
    if codecs[0].precision != FLOAT32:
        codecs.append(Codec.load("cpu", precision=FLOAT32))
    rows = []
    for codec, quality in product(codecs, arguments.qualities.split(",")):
        encode, decode = speeds(codec, images, quality, arguments.repeat)
        rows.append((codec.precision, quality, f"{encode:.2f}", f"{decode:.2f}"))
    seconds = cold_seconds(codecs[0].compress(images[0]), arguments.repeat)
    parts = (
        f"{heading(dataset, codecs[0])}, {torch.get_num_threads()} threads",
        table(("precision", "quality", "encode MP/s", "decode MP/s"), rows),
        f"whole `sbtcodec decompress` command: {seconds:.2f} s",
    )
    publish("\n\n".join(parts), arguments.out, force=arguments.force)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--qualities", default=f"{GLOBALS},10,30,50,80")
    parser.add_argument("--repeat", type=int, default=3)
    try:
        run(parser.parse_args())
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
