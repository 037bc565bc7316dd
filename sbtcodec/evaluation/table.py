"""Results as tables: rich ones for the terminal, Markdown ones for documents."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sbtcodec.evaluation.curves import (
    BdRate,
    Metric,
    Point,
    bd_rate,
    mean_curve,
    metrics_of,
    published_curve,
    published_metrics_of,
)
from sbtcodec.evaluation.published import LEARNED, PublishedCurve
from sbtcodec.evaluation.qualities import quality_label
from sbtcodec.evaluation.results import Results

PUBLISHED_NOTE = "Published, not measured here"
"""What is said of curves that others measured."""

RangedRate: TypeAlias = tuple[Metric, BdRate]
"""A BD-rate with the metric that it is in."""


def point_headings(results: Results) -> tuple[str, ...]:
    """Headings of the columns that `point_cells` fills."""
    fixed = ("quality", "bpp", "PSNR dB", "MS-SSIM", "MS-SSIM dB", "SSIMULACRA2")
    asked = (f"{metric.label} {metric.unit}".rstrip() for metric in _asked(results))
    return (*fixed, *asked, "encode s", "decode s")


def point_cells(point: Point, results: Results) -> tuple[str, ...]:
    """A point's values as text, one for each of the `point_headings`."""
    return (
        quality_label(point.quality),
        f"{point.bpp:.4f}",
        number(point.psnr, 2),
        number(point.ms_ssim, 4),
        number(point.ms_ssim_db, 2),
        number(point.ssimulacra2, 1),
        *(number(metric.of(point), metric.digits) for metric in _asked(results)),
        f"{point.encode_seconds:.3f}",
        f"{point.decode_seconds:.3f}",
    )


def bd_rate_rows(results: Results) -> Iterator[tuple[str, tuple[RangedRate, ...]]]:
    """Each baseline with the subject's BD-rate against it, one for each metric of the run."""
    subject = mean_curve(results.subject)
    for baseline in results.baselines:
        anchor = mean_curve(baseline)
        rates = ((metric, bd_rate(anchor, subject, metric)) for metric in metrics_of(results))
        yield baseline.name, tuple(rates)


def published_rows(results: Results) -> Iterator[tuple[PublishedCurve, tuple[RangedRate, ...]]]:
    """Each published curve with the subject's BD-rate against it, in `published_metrics_of`."""
    subject, metrics = mean_curve(results.subject), published_metrics_of(results)
    for curve in results.published:
        anchor = published_curve(curve)
        yield curve, tuple((metric, bd_rate(anchor, subject, metric)) for metric in metrics)


def number(value: float, digits: int) -> str:
    """A number with fixed decimals and a true minus sign; a dash for nan."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.{digits}f}".replace("-", "−")


def percent(rate: BdRate) -> str:
    """A BD-rate as text: `−12.3 %`; a dash when there is none."""
    if math.isnan(rate.percent):
        return "–"
    return f"{rate.percent:+.1f} %".replace("-", "−")


def measured_range(rate: BdRate, metric: Metric) -> str:
    """The range of quality a BD-rate was taken over, `24.0…31.5`; empty when there is none."""
    if math.isnan(rate.low):
        return ""
    return f"{number(rate.low, metric.digits)}…{number(rate.high, metric.digits)}"


def caption(results: Results) -> str:
    """One sentence that says what was measured, when and on what machine."""
    count = len(results.images)
    machine = results.machine
    where = f"{machine.cpu}, {machine.cores} cores"
    if machine.accelerator:
        where += f", {machine.accelerator}"
    model = f", {results.subject.settings}" if results.model_id else ""
    torch = results.packages.get("torch", "none")
    return (
        f"Mean over {count} {'image' if count == 1 else 'images'} of {results.dataset}{model}; "
        f"{results.date[:10]}, {where}, torch {torch}, device {results.device}."
        f"{''.join(f' {settings}.' for settings in results.metrics.values())}"
    )


def published_caption(results: Results) -> str:
    """Where the published curves come from, and what perceptual ones are not to be judged by."""
    origins = dict.fromkeys(curve.source.rpartition(" of ")[2] for curve in results.published)
    text = f"{PUBLISHED_NOTE}: means over the 24 Kodak images, from {', '.join(origins)}."
    perceptual = [curve.name for curve in results.published if curve.lpips]
    if perceptual and not set(LEARNED) & set(results.metrics):
        text += (
            f" {', '.join(perceptual)}: perceptual, to be judged by LPIPS and DISTS, which this run"
            " does not have, and not by PSNR."
        )
    return text


def rich_tables(results: Results) -> RenderableType:
    """All curves and the BD-rates, to print with a rich console."""
    parts: list[RenderableType] = []
    for codec in results.codecs:
        table = _table()
        if results.metrics:
            table.padding = 0  # ten columns fit into 80, with headings of two lines
        for heading in point_headings(results):
            shown = heading.replace(" ", "\n") if results.metrics else heading
            if len(results.metrics) > 2:
                shown = shown.replace("MS-SSIM", "MS-\nSSIM").replace("SSIMULA", "SSIMU-\nLA")
            table.add_column(shown, justify="right")
        for point in mean_curve(codec).points:
            table.add_row(*point_cells(point, results))
        parts += [Text(f"{codec.name} ({codec.settings})", style="bold"), table, Text()]
    if results.baselines:
        title = f"BD-rate of {results.subject.name}: below 0 it needs fewer bytes"
        table = _rate_table("against", metrics_of(results), bd_rate_rows(results))
        parts += [Text(title, style="bold"), table, Text()]
    if results.published:
        title = f"BD-rate of {results.subject.name} against published curves"
        rows = ((curve.name, rates) for curve, rates in published_rows(results))
        table = _rate_table("published", published_metrics_of(results), rows)
        parts += [Text(title, style="bold"), table, Text(published_caption(results)), Text()]
    parts.append(Text(caption(results)))
    return Group(*parts)


def markdown_table(results: Results, *, codecs: Sequence[str] | None = None) -> str:
    """Results as Markdown: BD-rates, then the points of some codecs, then the caption.

    Args:
        results: a run.
        codecs: whose points to list, if any; by default those of sbt (or the first codec).
    """
    listed = [results.subject.name] if codecs is None else list(codecs)
    blocks: list[str] = []
    if results.baselines:
        headings = [f"BD-rate of {results.subject.name} against"]
        headings += [metric.label for metric in metrics_of(results)]
        rows = [[name, *map(_ranged, rates)] for name, rates in bd_rate_rows(results)]
        blocks.append(_markdown(headings, rows))
    rows = [
        [codec.name, *point_cells(point, results)]
        for codec in results.codecs
        if codec.name in listed
        for point in mean_curve(codec).points
    ]
    if rows:
        blocks.append(_markdown(["codec", *point_headings(results)], rows))
    blocks.append(caption(results))
    return "\n\n".join(blocks) + "\n"


def markdown_published(results: Results) -> str:
    """BD-rates against published curves as Markdown, and what was compared with what.

    Apart from `markdown_table`, so that what was measured here stands alone.
    """
    subject = results.subject.name
    headings = [f"BD-rate of {subject} against, as published"]
    headings += [metric.label for metric in published_metrics_of(results)]
    rows = [
        [f"{curve.name} ({curve.description})", *map(_ranged, rates)]
        for curve, rates in published_rows(results)
    ]
    captions = f"{published_caption(results)} Compared with this run: {caption(results)}"
    return f"{_markdown(headings, rows)}\n\n{captions}\n"


def _asked(results: Results) -> tuple[Metric, ...]:
    return tuple(metric for metric in metrics_of(results) if metric.key in results.metrics)


def _table() -> Table:
    # Narrow enough for eight columns in a terminal of 80.
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))


def _rate_table(
    first: str, metrics: Sequence[Metric], rows: Iterable[tuple[str, Sequence[RangedRate]]]
) -> Table:
    table = _table()
    table.add_column(first)
    for metric in metrics:
        table.add_column(metric.label, justify="right")
    for name, rates in rows:
        table.add_row(name, *(Text(percent(rate), style=_style(rate)) for _, rate in rates))
    return table


def _ranged(found_in: RangedRate) -> str:
    metric, rate = found_in
    found = measured_range(rate, metric)
    return f"{percent(rate)} ({found})" if found else percent(rate)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, aligned, *rows))


def _style(rate: BdRate) -> str:
    if math.isnan(rate.percent):
        return "dim"
    return "green" if rate.percent < 0 else "red"
