"""The HTML report of a run: one file that works offline, with plots, crops and every number.

The page loads nothing: pictures are data URIs, plots are inline SVG, and its content security
policy forbids anything else. Its one script lets a reader hold a picture to see the original.
"""

import base64
import hashlib
import io
from collections.abc import Sequence
from html import escape
from importlib import resources

from PIL import Image

from sbtcodec.evaluation.crops import Crop, CropRow, CropSheet
from sbtcodec.evaluation.curves import METRICS, Metric, mean_curve
from sbtcodec.evaluation.metrics import Rgb
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
    style, script = _resource("report.css"), _resource("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    title = f"{results.subject.name} on {results.dataset}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
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
</main>
<script>{script}</script>
</body>
</html>
"""


def png_uri(rgb: Rgb) -> str:
    """An image, uint8 `[H, W, 3]`, as a `data:` URI of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _resource(name: str) -> str:
    return resources.files("sbtcodec.evaluation").joinpath(name).read_text(encoding="utf-8")


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
Hold a picture, or hold Space on it, to see the original in its place.</p>
{"".join(map(_sheet, sheets))}</section>"""


def _sheet(sheet: CropSheet) -> str:
    height, width = sheet.original.shape[:2]
    name = escape(sheet.image)
    return f"""<article class="sheet"><h3>{name}</h3>
<figure class="original"><img src="{png_uri(sheet.original)}" width="{width}" height="{height}"
 alt="{name}, original"><figcaption><b>original</b><br>{width} × {height} pixels from
({sheet.left}, {sheet.top})</figcaption></figure>
{"".join(_row(sheet, row) for row in sheet.rows)}</article>"""


def _row(sheet: CropSheet, row: CropRow) -> str:
    figures = [_figure(sheet, row.subject, row.subject.size)]
    figures += [_figure(sheet, crop, row.subject.size) for crop in row.baselines]
    heading = f"{row.subject.codec} {quality_label(row.subject.quality)}, {row.subject.bpp:.3f} bpp"
    return f'<h4>{escape(heading)}</h4><div class="row">{"".join(figures)}</div>'


def _figure(sheet: CropSheet, crop: Crop, target: int) -> str:
    height, width = crop.pixels.shape[:2]
    factor = crop.size / target
    # Within a tenth the sizes are equal for the eye; beyond it the reader has to be told.
    differs = f' <b class="factor">{factor:.1f}× the bytes</b>' if abs(factor - 1) > 0.1 else ""
    label = f"{crop.codec} {quality_label(crop.quality)}"
    size = f"{crop.size:,}".replace(",", " ")
    return f"""<figure><button type="button" aria-label="{escape(label)}: hold for the original">
<img src="{png_uri(crop.pixels)}" width="{width}" height="{height}"
 alt="{escape(f"{sheet.image}, {label}")}"></button>
<figcaption><b>{escape(label)}</b>{differs}<br>{size} bytes · {crop.bpp:.3f} bpp ·
{number(crop.psnr, 1)} dB</figcaption></figure>"""


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
