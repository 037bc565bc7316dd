"""A picture of 100 megapixels through the commands: time and peak memory, and parts of it.

    python -m benchmarks.large --data-dir PHOTOGRAPHS [--side 10000] [--out FILE]

The picture is made of enlarged photographs, side by side. At the end the codec alone, without start
and image files, on a small picture and on a quarter of the large one.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.output import add_options, check, dataset_of, heading, publish, table
from sbtcodec.codec.codec import Codec
from sbtcodec.image.pixels import load_image

PIECE = 1000  # pixels of the side of a photograph in the picture

# Runs a command and prints its peak memory, of which only the parent of a process is told.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def picture(paths: list[Path], side: int) -> Image.Image:
    """A square picture of photographs, each fitted to PIECE x PIECE pixels."""
    out = Image.new("RGB", (side, side))
    source = cycle(paths)
    for top in range(0, side, PIECE):
        for left in range(0, side, PIECE):
            photograph = Image.fromarray(load_image(next(source)).rgb)
            shorter = min(photograph.size)
            square = photograph.crop((0, 0, shorter, shorter))
            out.paste(square.resize((PIECE, PIECE), Image.Resampling.LANCZOS), (left, top))
    return out


def measured(name: str, pixels: float, *arguments: str) -> tuple[str, str, str, str]:
    """A row: what, seconds, megapixels of output a second, peak memory in GB."""
    command = [sys.executable, "-m", "sbtcodec", *arguments]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    unit = 1024 if sys.platform != "darwin" else 1
    peak = int(done.stdout) * unit / 1e9
    return name, f"{seconds:.1f}", f"{pixels / seconds / 1e6:.2f}", f"{peak:.2f}"


def loaded(codec: Codec, rgb: NDArray[np.uint8]) -> list[tuple[str, str, str, str]]:
    """Rows for the codec alone: the model is loaded, and no image file read or written."""
    height, width = rgb.shape[:2]
    codec.decode(codec.compress(rgb[:512, :768]))  # first calls take longer
    start = time.perf_counter()
    data = codec.compress(rgb)
    between = time.perf_counter()
    codec.decode(data)
    times = {"compress": between - start, "decompress": time.perf_counter() - between}
    return [
        (f"Codec.{what} {width}x{height}", f"{t:.1f}", f"{width * height / t / 1e6:.2f}", "")
        for what, t in times.items()
    ]


def main() -> None:
    """Print and write the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--side", type=int, default=10_000)
    a = parser.parse_args()
    check(a.out, force=a.force)
    dataset = dataset_of(a.data_dir, a.limit)
    side, rows = a.side, []
    with tempfile.TemporaryDirectory() as scratch:
        whole, small = f"{scratch}/whole.png", f"{scratch}/small.png"
        image = picture(list(dataset.paths), side)
        image.save(whole, compress_level=1)
        image.crop((0, 0, 1000, 1000)).save(small)
        del image
        packed, one = f"{scratch}/whole.sbt", f"{scratch}/small.sbt"
        rows.append(measured("compress 1 MP", 1e6, "compress", small, one))
        rows.append(measured("decompress 1 MP", 1e6, "decompress", one, f"{scratch}/s.png"))
        rows.append(measured(f"compress {side}x{side}", side**2, "compress", whole, packed))
        size = Path(packed).stat().st_size
        out = f"{scratch}/out.png"
        rows.append(measured(f"decompress {side}x{side}", side**2, "decompress", packed, out))
        for width in (256, 1024):
            at = f"{side // 2 + 100},{side // 2 + 100},{width},{width}"
            crop = ("decompress", packed, "--force", out, "--crop", at)
            rows.append(measured(f"decompress --crop {width}x{width}", width**2, *crop))
        rgb = load_image(whole, max_pixels=side**2).rgb[: side // 2, : side // 2].copy()
    codec = Codec.load("cpu")
    rows += loaded(codec, rgb[:512, :768]) + loaded(codec, rgb)
    text = [
        heading(dataset, codec),
        f"a picture of {side} x {side} pixels, {size} bytes at quality 50",
        table(("commands, start and PNG included", "seconds", "MP/s", "peak GB"), rows),
    ]
    publish("\n\n".join(text), a.out, force=a.force)


if __name__ == "__main__":
    main()
