"""Encoding and decoding speed with the model loaded, on images of one folder.

    python benchmarks/speed.py FOLDER [--qualities globals,10,30,50,80] [--limit 6] [--repeat 3]
                               [--precision auto]

prints megapixels per second at each quality (median over images of the best of `repeat` runs), and
the time of whole cold `sbtcodec decompress` commands.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sbtcodec.codec.codec import RGB, Codec
from sbtcodec.image.pixels import load_image
from sbtcodec.runtime.precision import PRECISIONS

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


def main() -> None:
    """Print the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--qualities", default=f"{GLOBALS},10,30,50,80")
    parser.add_argument("--limit", type=int, default=6)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    arguments = parser.parse_args()
    codec = Codec.load("cpu", precision=arguments.precision)
    paths = sorted(p for p in arguments.folder.iterdir() if p.suffix in {".png", ".jpg", ".webp"})
    images = [load_image(path).rgb for path in paths[: arguments.limit]]
    print(f"{len(images)} images, {codec.precision}, {torch.get_num_threads()} threads\n")
    print("quality  encode MP/s  decode MP/s")
    for quality in arguments.qualities.split(","):
        encode, decode = speeds(codec, images, quality, arguments.repeat)
        print(f"{quality:<7}  {encode:11.2f}  {decode:11.2f}")
    seconds = cold_seconds(codec.compress(images[0]), arguments.repeat)
    print(f"\nwhole `sbtcodec decompress` command: {seconds:.2f} s")


if __name__ == "__main__":
    main()
