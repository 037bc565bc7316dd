"""The HTML report of a run: one file that works offline, with plots, crops and every number."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sbtcodec.evaluation.crops import Crop, CropRow, CropSheet
from sbtcodec.evaluation.curves import (
    Metric,
    Point,
    mean_curve,
    metrics_of,
    published_curve,
    published_metrics_of,
)
from sbtcodec.evaluation.data_uris import png_uri
from sbtcodec.evaluation.page import grouped, render_page
from sbtcodec.evaluation.plots import PlotPoint, Series, rate_distortion_svg
from sbtcodec.evaluation.published import PublishedCurve
from sbtcodec.evaluation.qualities import quality_label
from sbtcodec.evaluation.results import CodecResults, Results
from sbtcodec.evaluation.table import (
    bd_rate_rows,
    caption,
    number,
    point_cells,
    point_headings,
    published_caption,
    published_rows,
)
from sbtcodec.evaluation.viewer import Choice, Viewer

_EQUAL_SIZES = 0.1
"""Sizes that differ from the first of the row by less than this part of it count as equal."""


@dataclass(frozen=True)
class _Picture:
    """A crop, or the same piece of the original; attributes as in `Choice`.

    Attributes:
        factor: its bytes over those of the first of the row; None where they are about equal.
    """

    image_id: str
    label: str
    detail: str
    uri: str
    factor: float | None = None


@dataclass(frozen=True)
class _Sheet:
    """The crops of one image, a row of them under each heading."""

    image: str
    left: int
    top: int
    viewer: Viewer
    original: _Picture
    rows: tuple[tuple[str, tuple[_Picture, ...]], ...]


def render_report(results: Results, sheets: Sequence[CropSheet] = ()) -> str:
    """The report as an HTML document.

    Args:
        results: the run.
        sheets: crops to show, as `crops.make_sheets` makes them.
    """
    codecs = (results.subject, *results.baselines)
    return render_page(
        "report.html",
        subject=results.subject.name,
        dataset=results.dataset,
        caption=caption(results),
        plots=[_plot(results, metric) for metric in metrics_of(results)],
        metrics=metrics_of(results),
        bd_rates=list(bd_rate_rows(results)),
        published=list(published_rows(results)),
        published_caption=published_caption(results),
        published_metrics=published_metrics_of(results),
        sheets=[_sheet(f"sheet-{index}", sheet) for index, sheet in enumerate(sheets)],
        point_headings=point_headings(results),
        numbers=[
            (codec, [point_cells(point, results) for point in mean_curve(codec).points])
            for codec in codecs
        ],
        metric_settings=list(results.metrics.values()),
        facts=_facts(results),
    )


def _plot(results: Results, metric: Metric) -> tuple[str, str]:
    """A plot's caption and its SVG."""
    label = f"{metric.label} ({metric.unit})" if metric.unit else metric.label
    falling = not metric.more_is_better
    heading = f"{label}, less is better: the axis is reversed" if falling else label
    series = [_series(codec, metric) for codec in (results.subject, *results.baselines)]
    # Published curves go on to rates that nothing here was measured at.
    highest = max(point.bpp for one in series for point in one.points)
    drawn = (_published_series(curve, metric, highest) for curve in results.published)
    series += [one for one in drawn if one.points]
    svg = rate_distortion_svg(
        series,
        title=f"{metric.label} against rate; the values are in the tables below",
        y_label=label,
        falling=falling,
    )
    return heading, svg


def _series(codec: CodecResults, metric: Metric) -> Series:
    return Series(
        codec.name,
        tuple(
            _plot_point(f"{codec.name} {quality_label(point.quality)}", point, metric)
            for point in mean_curve(codec).points
        ),
    )


def _published_series(curve: PublishedCurve, metric: Metric, highest: float) -> Series:
    """The part of a published curve up to a rate, without what was not published."""
    points = (
        _plot_point(f"{curve.name}, published", point, metric)
        for point in published_curve(curve).points
        if point.bpp <= highest and not math.isnan(metric.of(point))
    )
    return Series(curve.name, tuple(points), dashed=True)


def _plot_point(name: str, point: Point, metric: Metric) -> PlotPoint:
    value = number(metric.of(point), max(metric.digits, 2))
    title = f"{name}: {point.bpp:.3f} bpp, {metric.label} {value} {metric.unit}".rstrip()
    return PlotPoint(point.bpp, metric.of(point), title)


def _sheet(prefix: str, sheet: CropSheet) -> _Sheet:
    height, width = sheet.original.shape[:2]
    original = _Picture(f"{prefix}-original", "original", "", png_uri(sheet.original))
    rows = tuple(
        (_heading(row), tuple(_pictures(f"{prefix}-{place}", row)))
        for place, row in enumerate(sheet.rows)
    )
    viewer = Viewer(
        prefix,
        f"{sheet.image}, two versions",
        [Choice(original.image_id, original.label), *_choices(rows)],
        left=original.image_id,
        # The middle row: the picture is good, and differences are still to be seen.
        right=f"{prefix}-{len(rows) // 2}-0" if rows else original.image_id,
        width=width,
        height=height,
    )
    return _Sheet(sheet.image, sheet.left, sheet.top, viewer, original, rows)


def _pictures(prefix: str, row: CropRow) -> Iterator[_Picture]:
    for column, crop in enumerate((row.subject, *row.baselines)):
        factor = crop.size / row.subject.size
        yield _Picture(
            f"{prefix}-{column}",
            _label(crop),
            f"{grouped(crop.size)} bytes · {crop.bpp:.3f} bpp · {number(crop.psnr, 1)} dB",
            png_uri(crop.pixels),
            factor if abs(factor - 1) > _EQUAL_SIZES else None,
        )


def _choices(rows: Sequence[tuple[str, Sequence[_Picture]]]) -> Iterator[Choice]:
    for heading, pictures in rows:
        for one in pictures:
            yield Choice(one.image_id, one.label, one.detail, heading)


def _label(crop: Crop) -> str:
    return f"{crop.codec} {quality_label(crop.quality)}"


def _heading(row: CropRow) -> str:
    return f"{_label(row.subject)}, {row.subject.bpp:.3f} bpp"


def _facts(results: Results) -> list[tuple[str, str]]:
    machine = results.machine
    return [
        ("date", results.date),
        ("commit", results.commit or "installed package"),
        ("model", results.model_id or "none"),
        (
            "machine",
            f"{machine.cpu}, {machine.cores} cores, {machine.system}, Python {machine.python}",
        ),
        ("device", machine.accelerator or results.device),
        ("packages", ", ".join(f"{name} {found}" for name, found in results.packages.items())),
        ("images", ", ".join(f"{i.name} ({i.width} × {i.height})" for i in results.images)),
    ]
