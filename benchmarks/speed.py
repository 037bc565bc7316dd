"""Encoding and decoding speed with the model loaded, on images of one folder.

    python benchmarks/speed.py FOLDER [--quality 50] [--limit 6] [--repeat 3] [--bf16]

prints megapixels per second (median over images of the best of `repeat` runs), the same for entropy
coding and networks apart, and the time of whole cold `sbtcodec decompress` commands.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sbtcodec.codec import Codec
from sbtcodec.image.pixels import load_image


def main() -> None:
    """Print the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--limit", type=int, default=6)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    codec = Codec.load("cpu", bf16=arguments.bf16)
    encode, decode = [], []
    paths = sorted(p for p in arguments.folder.iterdir() if p.suffix in {".png", ".jpg", ".webp"})
    for path in paths[: arguments.limit]:
        rgb = load_image(path).rgb
        megapixels = rgb.shape[0] * rgb.shape[1] / 1e6
        times = []
        for _ in range(arguments.repeat + 1):  # the first warms up
            start = time.perf_counter()
            data = codec.compress(rgb, arguments.quality)
            middle = time.perf_counter()
            codec.decode(data)
            times.append((middle - start, time.perf_counter() - middle))
        best = np.array(times[1:]).min(0)
        encode.append(megapixels / best[0])
        decode.append(megapixels / best[1])
    precision = "bf16" if arguments.bf16 else "float32"
    print(
        f"{len(encode)} images, quality {arguments.quality:g}, {precision}, "
        f"{torch.get_num_threads()} threads"
    )
    print(f"encode {np.median(encode):.2f} MP/s, decode {np.median(decode):.2f} MP/s")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "x.sbt", Path(folder) / "x.png"
        source.write_bytes(data)
        cold = []
        for _ in range(arguments.repeat):
            start = time.perf_counter()
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "sbtcodec",
                    "decompress",
                    source,
                    target,
                    "--force",
                    "--device",
                    "cpu",
                ],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            cold.append(time.perf_counter() - start)
    print(f"whole `sbtcodec decompress` command: {np.median(cold):.2f} s")


if __name__ == "__main__":
    main()
