"""Which weights are better: whole files of validation photographs, coded with each.

    python -m benchmarks.weights --data VALID FOLDER [FOLDER ...]

codes the central squares of photographs that nothing is trained on with the default model of each
folder, at several qualities, and prints their means, and BD-rates against the first folder. This is
what weights are chosen by; the pictures of docs/results.md choose nothing. A checkpoint becomes
such a folder with `sbtcodec train --resume --steps 1 --export FOLDER`, or `publish`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.effort import images_in
from sbtcodec.codec.codec import Codec
from sbtcodec.evaluation.curves import METRICS, Curve, Point, bd_rate
from sbtcodec.evaluation.metrics import ms_ssim, psnr
from sbtcodec.evaluation.qualities import GLOBALS, Quality
from sbtcodec.image.pixels import load_image
from sbtcodec.rdo.effort import DEFAULT_EFFORT

SIDE = 256
QUALITIES: tuple[Quality, ...] = (GLOBALS, 0, 5, 10, 20, 35, 50, 65, 80, 100)

Rgb = NDArray[np.uint8]


def square(path: Path, side: int) -> Rgb:
    """The central square of a photograph, uint8 [side, side, 3]."""
    return middle_of(load_image(path).rgb, side)


def middle_of(rgb: Rgb, side: int) -> Rgb:
    """The central square of pixels uint8 [H, W, 3]: uint8 [side, side, 3]."""
    top, left = ((length - side) // 2 for length in rgb.shape[:2])
    return np.ascontiguousarray(rgb[top : top + side, left : left + side])


def curve_of(codec: Codec, squares: Sequence[Rgb], effort: int) -> Curve:
    """The means over the squares at each quality; SSIMULACRA2 and times are left out."""
    analysed = [codec.analyse(rgb) for rgb in squares]
    points = []
    for quality in QUALITIES:
        code, alone = (0.0, True) if quality == GLOBALS else (float(quality), False)
        rows = []
        for rgb, analysis in zip(squares, analysed, strict=True):
            data = codec.code(analysis, code, globals_only=alone, effort=effort).data
            shown = codec.decode(data).rgb
            bpp = 8 * len(data) / (rgb.shape[0] * rgb.shape[1])
            rows.append((bpp, psnr(rgb, shown), ms_ssim(rgb, shown)))
        bpp, decibels, similarity = np.mean(rows, 0)
        points.append(Point(quality, bpp, decibels, similarity, np.nan, np.nan, np.nan))
    return Curve(codec.release.name, tuple(points))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--effort", type=int, default=DEFAULT_EFFORT)
    arguments = parser.parse_args()
    paths = images_in(arguments.data)
    chosen = paths[:: max(1, len(paths) // arguments.limit)][: arguments.limit]
    squares = [square(path, SIDE) for path in chosen]
    print(f"{len(squares)} squares of {SIDE} pixels of {arguments.data.name}, whole files")
    anchor = None
    for folder in arguments.folders:
        codec = Codec.load("cpu", precision="float32", weights=folder)
        curve = curve_of(codec, squares, arguments.effort)
        cells = (f"{p.bpp:.4f}:{p.psnr:.2f}/{p.ms_ssim:.4f}" for p in curve.points)
        print(f"{codec.model_id}: {' | '.join(cells)}", flush=True)
        if anchor is not None:
            for metric in METRICS[:2]:
                found = bd_rate(anchor, curve, metric)
                print(f"  {metric.label} {found.percent:+.2f} % against {anchor.codec}")
        anchor = anchor or curve


if __name__ == "__main__":
    main()
