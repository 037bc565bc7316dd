"""The page of `sbtcodec compare`: the viewer, what each layer costs and brings, other codecs."""

import math
from collections.abc import Iterator
from html import escape

import sbtcodec
from sbtcodec.evaluation import viewer
from sbtcodec.evaluation.compare import MS_SSIM_MAX_PIXELS, Comparison, Version
from sbtcodec.evaluation.page import grouped, lossless_uri, original_uri, render_page
from sbtcodec.evaluation.table import number

_VIEWER, _ORIGINAL = "viewer", "original"


def render_comparison(comparison: Comparison, name: str, original_name: str, file: bytes) -> str:
    """The comparison as one HTML document that works offline.

    Args:
        comparison: what is compared.
        name: of the `.sbt` file.
        original_name: name of the original.
        file: the bytes of the original.
    """
    area = comparison.area
    comparing = viewer.viewer(
        _VIEWER,
        list(_choices(comparison, len(file))),
        left=_ORIGINAL,
        right=comparison.whole.key,
        width=area.width,
        height=area.height,
        name="Two versions of the picture",
    )
    body = f"""<header><h1>{escape(name)}</h1>
<p>{_summary(comparison, len(file))}</p></header>
<main id="main">
{_notice(comparison)}{comparing}
{_layers(comparison)}
{_others(comparison)}
{_gallery(comparison, original_name, file)}
{_made(comparison, original_name)}
</main>"""
    return render_page(
        f"{name} and its original",
        body,
        styles=(viewer.STYLE, "compare.css"),
        scripts=(viewer.SCRIPT,),
    )


def _summary(comparison: Comparison, original_bytes: int) -> str:
    whole = comparison.whole
    return (
        f"{comparison.width} × {comparison.height} pixels in <b>{grouped(comparison.size)} bytes"
        f"</b>, {whole.bpp:.3f} bits per pixel, {number(whole.psnr, 2)} dB. "
        f"The original file has {grouped(original_bytes)} bytes,"
        f" {original_bytes / comparison.size:.0f} times as many."
    )


def _notice(comparison: Comparison) -> str:
    area = comparison.area
    if (area.width, area.height) == (comparison.width, comparison.height):
        return ""
    return f"""<p class="notice" role="note">Shown is a piece of {area.width} × {area.height} pixels
from ({area.left}, {area.top}). Bytes and measurements are those of the whole picture.</p>"""


def _choices(comparison: Comparison, original_bytes: int) -> Iterator[viewer.Choice]:
    yield viewer.Choice(_ORIGINAL, "original", f"{grouped(original_bytes)} bytes")
    for one in comparison.prefixes:
        yield viewer.Choice(one.key, one.label, _detail(one), "this file")
    for one in comparison.others:
        yield viewer.Choice(one.key, one.label, _detail(one), "other codecs")


def _detail(version: Version) -> str:
    text = f"{grouped(version.size)} bytes · {version.bpp:.3f} bpp · {number(version.psnr, 2)} dB"
    return text if version.fits else f"{text} · larger than the .sbt"


def _layers(comparison: Comparison) -> str:
    measured = _has_ms_ssim(comparison)
    rows, total = [], 0
    for index, part in enumerate(comparison.parts):
        total += part.size
        share = part.size / comparison.size
        bpp = 8 * part.size / (comparison.width * comparison.height)
        version = comparison.prefixes[index - 1] if index else None
        rows.append(
            f'<tr><th scope="row">{escape(part.name)}</th><td>{grouped(part.size)}</td>'
            f'<td>{bpp:.4f}</td><td class="share" style="--share:{share:.4f}">'
            f"{100 * share:.1f} %</td><td>{grouped(total)}</td>{_quality(version, measured)}</tr>"
        )
    heads = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("part", "bytes", "bpp", "share", "bytes up to here", *_quality_heads(measured))
    )
    whole = comparison.whole
    return f"""<section id="layers"><h2>What each layer costs and brings</h2>
<p>A file cut after any layer still decodes. Quality is that of the picture from the bytes up to
here, against the original.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Layers"><table>
<thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>
<tfoot><tr><th scope="row">file</th><td>{grouped(comparison.size)}</td><td>{whole.bpp:.4f}</td>
<td>100.0 %</td><td>{grouped(total)}</td>{_quality(whole, measured)}</tr></tfoot></table></div>
</section>"""


def _others(comparison: Comparison) -> str:
    if not comparison.others:
        return ""
    measured = _has_ms_ssim(comparison)
    # A file of global tokens alone has a quality too, which says nothing of it.
    detail = f"q{comparison.quality:.0f}" if len(comparison.prefixes) > 1 else "globals only"
    listed = [(f"sbt {detail}", comparison.whole)]
    listed += [(version.label, version) for version in comparison.others]
    rows = "".join(
        f'<tr><th scope="row">{escape(label)}{_shortfall(version, comparison)}</th>'
        f"<td>{grouped(version.size)}</td><td>{version.bpp:.4f}</td>"
        f"<td>{100 * version.size / comparison.size:.1f} %</td>{_quality(version, measured)}</tr>"
        for label, version in listed
    )
    heads = "".join(
        f'<th scope="col">{text}</th>'
        for text in ("version", "bytes", "bpp", "of the .sbt", *_quality_heads(measured))
    )
    return f"""<section id="codecs"><h2>Other codecs at equal bytes</h2>
<p>Each at its highest quality that needs no more bytes than the .sbt file, or, where none is so
small, at its lowest.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Other codecs"><table>
<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>"""


def _shortfall(version: Version, comparison: Comparison) -> str:
    if version.fits:
        return ""
    factor = version.size / comparison.size
    return f'<small class="over">smallest possible, {factor:.1f}× the bytes of the .sbt</small>'


def _quality_heads(measured: bool) -> tuple[str, ...]:
    return ("PSNR dB", "MS-SSIM") if measured else ("PSNR dB",)


def _quality(version: Version | None, measured: bool) -> str:
    values = ["", ""] if version is None else [number(version.psnr, 2), number(version.ms_ssim, 4)]
    return "".join(f"<td>{value}</td>" for value in values[: 2 if measured else 1])


def _has_ms_ssim(comparison: Comparison) -> bool:
    return not math.isnan(comparison.whole.ms_ssim)


def _gallery(comparison: Comparison, original_name: str, file: bytes) -> str:
    area = comparison.area
    figures = []

    def add(key: str, label: str, detail: str, uri: str) -> None:
        picture = (
            f'<img id="{escape(key)}" src="{uri}" width="{area.width}" height="{area.height}"'
            f' alt="{escape(label)}" decoding="async">'
        )
        figures.append(
            f"<figure>{viewer.choose_button(_VIEWER, key, label, picture)}"
            f"<figcaption><b>{escape(label)}</b><br>{escape(detail)}</figcaption></figure>"
        )

    given = original_uri(file, comparison.original)
    add(_ORIGINAL, "original", f"{original_name}, {grouped(len(file))} bytes", given)
    for version in (*comparison.prefixes, *comparison.others):
        add(version.key, version.label, _detail(version), lossless_uri(version.pixels))
    return f"""<section id="versions"><h2>All versions</h2>
<p>Choose one to see it to the right of the divider.</p>
<div class="versions">{"".join(figures)}</div></section>"""


def _made(comparison: Comparison, original_name: str) -> str:
    facts = [
        ("program", f"sbtcodec {sbtcodec.__version__}, model {comparison.model}"),
        ("quality", f"{comparison.quality:.0f} of 100"),
        ("original", original_name),
        *((version.key, version.settings) for version in comparison.others),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    left_out = ""
    if not _has_ms_ssim(comparison):
        left_out = (
            " MS-SSIM was not measured: it needs the package pytorch-msssim, and a picture of sides"
            f" above 160 and of at most {MS_SSIM_MAX_PIXELS / 1e6:.1f} megapixels."
        )
    return f"""<section id="made"><h2>How this was made</h2>
<p>Sizes are of whole files, headers included. Measurements compare 8-bit RGB pixels.{left_out}</p>
<dl>{rows}</dl></section>"""
