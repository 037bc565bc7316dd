"""The HTML report of a run: one file that works offline, with plots, crops and every number."""

from collections.abc import Iterator, Sequence
from html import escape

from sbtcodec.evaluation import viewer
from sbtcodec.evaluation.crops import Crop, CropRow, CropSheet
from sbtcodec.evaluation.curves import METRICS, Metric, mean_curve
from sbtcodec.evaluation.page import grouped, png_uri, render_page
from sbtcodec.evaluation.plots import PlotPoint, Series, rate_distortion_svg
from sbtcodec.evaluation.qualities import quality_label
from sbtcodec.evaluation.results import CodecResults, Results
from sbtcodec.evaluation.table import (
    POINT_HEADINGS,
    bd_rate_rows,
    caption,
    measured_range,
    number,
    percent,
    point_cells,
)


def render_report(results: Results, sheets: Sequence[CropSheet] = ()) -> str:
    """The report as an HTML document.

    Args:
        results: the run.
        sheets: crops to show, as `crops.make_sheets` makes them.
    """
    title = f"{results.subject.name} on {results.dataset}"
    body = f"""<header>
<h1>{escape(title)}</h1>
<p>{escape(caption(results))}</p>
<nav aria-label="Sections">
<a href="#curves">Curves</a> <a href="#bd-rate">BD-rate</a> <a href="#crops">Crops</a>
<a href="#numbers">All numbers</a> <a href="#made">How this was made</a>
</nav>
</header>
<main id="main">
{_plots(results)}
{_bd_rates(results)}
{_sheets(sheets)}
{_numbers(results)}
{_made(results)}
</main>"""
    return render_page(title, body, styles=("report.css", viewer.STYLE), scripts=(viewer.SCRIPT,))


def _plots(results: Results) -> str:
    ordered = [results.subject, *results.baselines]
    figures = []
    for metric in METRICS:
        label = f"{metric.label} ({metric.unit})" if metric.unit else metric.label
        svg = rate_distortion_svg(
            [_series(codec, metric) for codec in ordered],
            title=f"{metric.label} against rate; the values are in the tables below",
            y_label=label,
        )
        figures.append(f"<figure><figcaption>{escape(label)}</figcaption>{svg}</figure>")
    return f"""<section id="curves"><h2>Rate and distortion</h2>
<p>Up and to the left is better. Each mark is the mean over all images at one quality setting;
point at a mark to read it.</p>
<div class="plots">{"".join(figures)}</div></section>"""


def _series(codec: CodecResults, metric: Metric) -> Series:
    return Series(
        codec.name,
        tuple(
            PlotPoint(
                point.bpp,
                metric.of(point),
                f"{codec.name} {quality_label(point.quality)}: {point.bpp:.3f} bpp, "
                f"{metric.label} {number(metric.of(point), 2)} {metric.unit}".rstrip(),
            )
            for point in mean_curve(codec).points
        ),
    )


def _bd_rates(results: Results) -> str:
    if not results.baselines:
        return '<section id="bd-rate"><h2>BD-rate</h2><p>No other codec was run.</p></section>'
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(
            f'<td class="{_tone(rate.percent)}">{percent(rate)}'
            f"<small>{measured_range(rate)}</small></td>"
            for rate in rates
        )
        + "</tr>"
        for name, rates in bd_rate_rows(results)
    )
    heads = "".join(f'<th scope="col">{metric.label}</th>' for metric in METRICS)
    subject = escape(results.subject.name)
    return f"""<section id="bd-rate"><h2>BD-rate of {subject}</h2>
<p>Mean difference in bytes at equal quality: below 0, {subject} needs fewer. Taken over the range
of quality that both codecs reach, given under each value.</p>
<div class="scroll" tabindex="0" role="region" aria-label="BD-rate"><table>
<thead><tr><th scope="col">against</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>
</section>"""


def _sheets(sheets: Sequence[CropSheet]) -> str:
    if not sheets:
        return '<section id="crops"><h2>Crops</h2><p>None were made.</p></section>'
    return f"""<section id="crops"><h2>Side by side at equal bytes</h2>
<p>The same piece of the image from each codec, each at the quality whose file is nearest in size
to the first of the row. Where no quality of a codec comes within a tenth of that size, the factor
says how far off the nearest is. Bytes, bits per pixel and PSNR are those of the whole image.
Choose a picture to see it under the divider, against the original or any other.</p>
{"".join(_sheet(index, sheet) for index, sheet in enumerate(sheets))}</section>"""


def _sheet(index: int, sheet: CropSheet) -> str:
    height, width = sheet.original.shape[:2]
    name, prefix = escape(sheet.image), f"sheet-{index}"
    comparison = viewer.viewer(
        prefix,
        list(_choices(prefix, sheet)),
        left=f"{prefix}-original",
        # The middle row: the picture is good, and differences are still to be seen.
        right=f"{prefix}-{len(sheet.rows) // 2}-0" if sheet.rows else f"{prefix}-original",
        width=width,
        height=height,
        name=f"{sheet.image}, two versions",
    )
    rows = "".join(_row(prefix, place, sheet, row) for place, row in enumerate(sheet.rows))
    return f"""<article class="sheet"><h3>{name}</h3>{comparison}
<figure class="original"><img id="{prefix}-original" src="{png_uri(sheet.original)}"
 width="{width}" height="{height}" alt="{name}, original">
<figcaption><b>original</b><br>{width} × {height} pixels from
({sheet.left}, {sheet.top})</figcaption></figure>
{rows}</article>"""


def _choices(prefix: str, sheet: CropSheet) -> Iterator[viewer.Choice]:
    yield viewer.Choice(f"{prefix}-original", "original")
    for place, row in enumerate(sheet.rows):
        for column, crop in enumerate((row.subject, *row.baselines)):
            image_id = f"{prefix}-{place}-{column}"
            yield viewer.Choice(image_id, _label(crop), _detail(crop), _heading(row))


def _row(prefix: str, place: int, sheet: CropSheet, row: CropRow) -> str:
    figures = "".join(
        _figure(prefix, f"{prefix}-{place}-{column}", sheet, crop, row.subject.size)
        for column, crop in enumerate((row.subject, *row.baselines))
    )
    return f'<h4>{escape(_heading(row))}</h4><div class="row">{figures}</div>'


def _figure(prefix: str, image_id: str, sheet: CropSheet, crop: Crop, target: int) -> str:
    height, width = crop.pixels.shape[:2]
    factor = crop.size / target
    # Within a tenth the sizes are equal for the eye; beyond it the reader has to be told.
    differs = f' <b class="factor">{factor:.1f}× the bytes</b>' if abs(factor - 1) > 0.1 else ""
    label = _label(crop)
    picture = (
        f'<img id="{image_id}" src="{png_uri(crop.pixels)}" width="{width}" height="{height}"'
        f' alt="{escape(f"{sheet.image}, {label}")}">'
    )
    return f"""<figure>{viewer.choose_button(prefix, image_id, label, picture)}
<figcaption><b>{escape(label)}</b>{differs}<br>{_detail(crop)}</figcaption></figure>"""


def _label(crop: Crop) -> str:
    return f"{crop.codec} {quality_label(crop.quality)}"


def _detail(crop: Crop) -> str:
    return f"{grouped(crop.size)} bytes · {crop.bpp:.3f} bpp · {number(crop.psnr, 1)} dB"


def _heading(row: CropRow) -> str:
    return f"{_label(row.subject)}, {row.subject.bpp:.3f} bpp"


def _numbers(results: Results) -> str:
    heads = "".join(f'<th scope="col">{heading}</th>' for heading in POINT_HEADINGS)
    blocks = []
    for codec in (results.subject, *results.baselines):
        rows = "".join(
            "<tr>" + "".join(f"<td>{cell}</td>" for cell in point_cells(point)) + "</tr>"
            for point in mean_curve(codec).points
        )
        opened = " open" if codec is results.subject else ""
        blocks.append(
            f"<details{opened}><summary>{escape(codec.name)} "
            f"<small>{escape(codec.settings)}</small></summary>"
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(codec.name)}">'
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
        )
    return f'<section id="numbers"><h2>All numbers</h2>{"".join(blocks)}</section>'


def _made(results: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results.packages.items())
    facts = {
        "date": results.date,
        "commit": results.commit or "installed package",
        "model": results.model_id or "none",
        "machine": f"{results.machine.cpu}, {results.machine.cores} cores, "
        f"{results.machine.system}, Python {results.machine.python}",
        "device": results.machine.accelerator or results.device,
        "packages": versions,
        "images": ", ".join(f"{i.name} ({i.width} × {i.height})" for i in results.images),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return f"""<section id="made"><h2>How this was made</h2>
<p>Rates count whole files, headers included. Metrics compare 8-bit RGB pixels. MS-SSIM in dB is
−10 log₁₀(1 − mean MS-SSIM). Times are of one call each in memory after a warm-up, with the model
loaded; they depend on the machine.</p><dl>{rows}</dl></section>"""


def _tone(value: float) -> str:
    return "better" if value < 0 else "worse" if value > 0 else ""
