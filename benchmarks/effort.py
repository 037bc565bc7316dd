"""What encoder effort is worth: time, and rate at equal quality against the default effort.

    python benchmarks/effort.py --data FOLDER [--efforts 4 5 6 7 8 9] [--qualities 10 40 70 95]
        [--limit 3] [--out benchmarks/results/effort.txt]

takes the central 256 x 384 pixels of photographs spread over FOLDER, compresses them at every
effort and quality, and prints seconds per megapixel (median) and BD-rates of the mean curves.
FOLDER must not be a test set: settings are chosen by this table.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.evaluation.curves import METRICS, Curve, Point, bd_rate
from sbtcodec.evaluation.metrics import ms_ssim, psnr, ssimulacra2
from sbtcodec.image.files import write_atomically
from sbtcodec.image.pixels import load_image
from sbtcodec.rdo.effort import DEFAULT_EFFORT, SEARCH_STEPS

HEIGHT, WIDTH = 256, 384


def centre(path: Path) -> NDArray[np.uint8]:
    """The central pixels of a photograph: uint8 [256, 384, 3], or less of a small one."""
    rgb = load_image(path).rgb
    top, left = max(0, (rgb.shape[0] - HEIGHT) // 2), max(0, (rgb.shape[1] - WIDTH) // 2)
    return np.ascontiguousarray(rgb[top : top + HEIGHT, left : left + WIDTH])


def measure(
    codec: Codec, images: list[NDArray[np.uint8]], qualities: list[float], effort: int
) -> tuple[Curve, float]:
    """The mean curve of an effort, and its median seconds per megapixel of encoding."""
    points, seconds = [], []
    for quality in qualities:
        rows = []
        for x in images:
            start = time.perf_counter()
            data = codec.compress(x, quality, effort=effort)
            seconds.append((time.perf_counter() - start) / (x.shape[0] * x.shape[1] / 1e6))
            x_hat = codec.decode(data).rgb
            bpp = 8 * len(data) / (x.shape[0] * x.shape[1])
            rows.append((bpp, psnr(x, x_hat), ms_ssim(x, x_hat), ssimulacra2(x, x_hat)))
        means = (float(v) for v in np.mean(rows, 0))
        points.append(Point(quality, *means, math.nan, math.nan))
    points.sort(key=lambda p: p.bpp)
    return Curve(f"effort {effort}", tuple(points)), float(np.median(seconds))


def images_in(folder: Path) -> list[Path]:
    """The photographs of a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix in {".png", ".jpg", ".jpeg", ".webp"})


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--efforts", type=int, nargs="+", default=[4, 5, 6, 7, 8, 9])
    parser.add_argument("--qualities", type=float, nargs="+", default=[10, 40, 70, 95])
    parser.add_argument("--limit", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/effort.txt"))
    arguments = parser.parse_args()
    codec = Codec.load("cpu", precision="float32")
    paths = images_in(arguments.data)
    chosen = paths[:: max(1, len(paths) // arguments.limit)][: arguments.limit]
    images = [centre(p) for p in chosen]
    codec.compress(images[0])  # the first warms up
    setting = (
        f"{len(images)} photographs, central {HEIGHT} x {WIDTH} pixels, qualities "
        f"{' '.join(f'{q:g}' for q in arguments.qualities)}, model {codec.model_id}, "
        f"{torch.get_num_threads()} threads"
    )
    head = "effort  rounds  steps     s/MP   " + "   ".join(f"BD-rate {m.label}" for m in METRICS)
    lines = [setting, head]
    print("\n".join(lines), flush=True)
    anchor: Curve | None = None
    for effort in [DEFAULT_EFFORT, *sorted(set(arguments.efforts) - {DEFAULT_EFFORT})]:
        curve, seconds = measure(codec, images, arguments.qualities, effort)
        anchor = anchor or curve
        rates = "   ".join(
            f"{bd_rate(anchor, curve, m).percent:+{len(m.label) + 6}.1f} %" for m in METRICS
        )
        search = SEARCH_STEPS[effort]
        lines.append(f"{effort:6}  {search.rounds:6}  {search.steps:5}  {seconds:7.1f}   {rates}")
        print(lines[-1], flush=True)
        write_atomically(arguments.out, ("\n".join(lines) + "\n").encode(), force=True)


if __name__ == "__main__":
    main()
