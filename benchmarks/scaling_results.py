"""What `benchmarks.scaling` says of runs that are done: tables with slopes, and a plot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.output import table
from benchmarks.predictor_quality import HEADINGS, Quality
from sbtcodec.evaluation.plots import HEIGHT, WIDTH, PlotPoint, Series, rate_distortion_svg

MEASURED = {  # with digits
    "error": 4,
    "weighted_error": 5,
    "psnr": 3,
    "ms_ssim": 4,
    "vgg": 4,
    "samples": 4,
}
PLOTTED = {"psnr": "PSNR, dB", "vgg": "VGG distance", "samples": "distance of samples"}
COLOURS = "--ink:#222;--muted:#555;--grid:#ddd;--paper:#fff;" + "".join(
    f"--curve-{i}:{c};" for i, c in enumerate(("#b3261e", "#1f5fa8", "#2e7d32", "#8e5a00"))
)


@dataclass(frozen=True)
class Trained:
    """A run that is done: its scale, share of the photographs and seed, and what was measured."""

    scale: float
    share: float
    seed: int
    photographs: int
    quality: Quality


def by_seed(
    done: Sequence[Trained], of: Callable[[Trained], float], name: str
) -> list[list[tuple[float, float]]]:
    """For each seed, (what `of` gives, a measure) of its runs, by the former."""
    seeds = sorted({t.seed for t in done})
    return [
        sorted((of(t), float(getattr(t.quality, name))) for t in done if t.seed == seed)
        for seed in seeds
    ]


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and half the range; empty where nothing was measured."""
    if np.isnan(values).any():
        return ""
    half = (max(values) - min(values)) / 2
    return f"{np.mean(values):.{digits}f} ±{half:.{digits}f}"


def slope(points: Sequence[tuple[float, float]]) -> float:
    """What a doubling adds: the slope of a straight line over log2, by least squares."""
    x, y = np.log2([p[0] for p in points]), [p[1] for p in points]
    return float(np.polyfit(x, y, 1)[0])


def axes(done: Sequence[Trained]) -> dict[str, tuple[list[Trained], Callable[[Trained], float]]]:
    """The runs that differ in parameters alone, and in photographs alone, with what differs."""
    return {
        "parameters": ([t for t in done if t.share == 1], lambda t: t.quality.parameters / 1e6),
        "photographs": ([t for t in done if t.scale == 1], lambda t: float(t.photographs)),
    }


def tables(done: Sequence[Trained], own: Quality) -> str:
    """Both tables."""
    rows = [["of the model, as released", "", *own.row()]]
    for scale, share in dict.fromkeys((t.scale, t.share) for t in done):
        runs = [t for t in done if (t.scale, t.share) == (scale, share)]
        numbers = [spread([getattr(t.quality, n) for t in runs], d) for n, d in MEASURED.items()]
        millions = f"{runs[0].quality.parameters / 1e6:.2f}"
        rows.append([f"{scale:g} x", str(runs[0].photographs), millions, *numbers])
    first = table(["predictor", "photographs", *HEADINGS], rows)
    rows = []
    for axis, (runs, of) in axes(done).items():
        slopes = [[slope(p) for p in by_seed(runs, of, name)] for name in MEASURED]
        digits = MEASURED.values()
        rows.append([axis, *(spread(s, d + 1) for s, d in zip(slopes, digits, strict=True))])
    return f"{first}\n\n{table(['a doubling of', *HEADINGS[1:]], rows)}"


def plot(done: Sequence[Trained]) -> str:
    """An SVG file: what was measured against parameters, and beside it against photographs.

    A row for each of PLOTTED that was measured. Better is up.
    """
    shown = []
    labels = {"parameters": "parameters, millions", "photographs": "photographs"}
    rows = [n for n in PLOTTED if not any(np.isnan(getattr(t.quality, n)) for t in done)]
    for row, name in enumerate(rows):
        for column, (axis, (runs, of)) in enumerate(axes(done).items()):
            series = [
                Series(f"seed {i}", tuple(PlotPoint(x, y, f"{x:.4g}: {y:.4g}") for x, y in points))
                for i, points in enumerate(by_seed(runs, of, name))
            ]
            one = rate_distortion_svg(
                series,
                title=f"{PLOTTED[name]}, by {axis}",
                y_label=PLOTTED[name],
                x_label=labels[axis],
                falling=name != "psnr",
            )
            place = f'x="{column * WIDTH}" y="{row * HEIGHT}"'
            at = f'<svg {place} width="{WIDTH}" height="{HEIGHT}" '
            shown.append(one.replace("<svg ", at, 1))
    style = f"{COLOURS}background:#fff;font:14px sans-serif"
    size = f'viewBox="0 0 {2 * WIDTH} {len(rows) * HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{style}">'
    return "\n".join([head, *shown, "</svg>\n"])
