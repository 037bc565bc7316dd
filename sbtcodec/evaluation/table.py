"""Results as tables: rich ones for the terminal, Markdown ones for documents."""

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sbtcodec.evaluation.curves import METRICS, BdRate, Point, bd_rate, mean_curve
from sbtcodec.evaluation.qualities import quality_label
from sbtcodec.evaluation.results import Results

POINT_HEADINGS = (
    "quality",
    "bpp",
    "PSNR dB",
    "MS-SSIM",
    "MS-SSIM dB",
    "SSIMULACRA2",
    "encode s",
    "decode s",
)
"""Headings of the columns that `point_cells` fills."""


def point_cells(point: Point) -> tuple[str, ...]:
    """A point's values as text, one for each of `POINT_HEADINGS`."""
    return (
        quality_label(point.quality),
        f"{point.bpp:.4f}",
        number(point.psnr, 2),
        number(point.ms_ssim, 4),
        number(point.ms_ssim_db, 2),
        number(point.ssimulacra2, 1),
        f"{point.encode_seconds:.3f}",
        f"{point.decode_seconds:.3f}",
    )


def bd_rate_rows(results: Results) -> Iterator[tuple[str, tuple[BdRate, ...]]]:
    """Each baseline with the subject's BD-rate against it, one for each of `METRICS`."""
    subject = mean_curve(results.subject)
    for baseline in results.baselines:
        anchor = mean_curve(baseline)
        yield baseline.name, tuple(bd_rate(anchor, subject, metric) for metric in METRICS)


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


def measured_range(rate: BdRate) -> str:
    """The range of quality a BD-rate was taken over, `24.0…31.5`; empty when there is none."""
    if math.isnan(rate.low):
        return ""
    return f"{number(rate.low, 1)}…{number(rate.high, 1)}"


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
    )


def rich_tables(results: Results) -> RenderableType:
    """All curves and the BD-rates, to print with a rich console."""
    parts: list[RenderableType] = []
    for codec in results.codecs:
        table = _table()
        for heading in POINT_HEADINGS:
            table.add_column(heading, justify="right")
        for point in mean_curve(codec).points:
            table.add_row(*point_cells(point))
        parts += [Text(f"{codec.name} ({codec.settings})", style="bold"), table, Text()]
    if results.baselines:
        title = f"BD-rate of {results.subject.name}: below 0 it needs fewer bytes"
        table = _table()
        table.add_column("against")
        for metric in METRICS:
            table.add_column(metric.label, justify="right")
        for name, rates in bd_rate_rows(results):
            cells = [Text(percent(rate), style=_style(rate)) for rate in rates]
            table.add_row(name, *cells)
        parts += [Text(title, style="bold"), table, Text()]
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
        headings += [metric.label for metric in METRICS]
        rows = [[name, *map(_ranged, rates)] for name, rates in bd_rate_rows(results)]
        blocks.append(_markdown(headings, rows))
    rows = [
        [codec.name, *point_cells(point)]
        for codec in results.codecs
        if codec.name in listed
        for point in mean_curve(codec).points
    ]
    if rows:
        blocks.append(_markdown(["codec", *POINT_HEADINGS], rows))
    blocks.append(caption(results))
    return "\n\n".join(blocks) + "\n"


def _table() -> Table:
    # Narrow enough for eight columns in a terminal of 80.
    return Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))


def _ranged(rate: BdRate) -> str:
    found = measured_range(rate)
    return f"{percent(rate)} ({found})" if found else percent(rate)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, aligned, *rows))


def _style(rate: BdRate) -> str:
    if math.isnan(rate.percent):
        return "dim"
    return "green" if rate.percent < 0 else "red"
