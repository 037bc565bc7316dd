"""The page of `sbtcodec compare`: the viewer, what each layer costs and brings, other codecs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import sbtcodec
from sbtcodec.evaluation.compare import MS_SSIM_MAX_PIXELS
from sbtcodec.evaluation.data_uris import lossless_uri, original_uri
from sbtcodec.evaluation.page import grouped, render_page
from sbtcodec.evaluation.table import number
from sbtcodec.evaluation.versions import Comparison, Version
from sbtcodec.evaluation.viewer import Choice, Viewer

_ORIGINAL = "original"


@dataclass(frozen=True)
class _Picture:
    """A version with its pixels, of the size of the viewer; attributes as in `Choice`."""

    image_id: str
    label: str
    detail: str
    uri: str


@dataclass(frozen=True)
class _Layer:
    """A part of the file, and what can be decoded of the file up to its end.

    Attributes:
        name: of the part.
        size: its bytes.
        bpp: its bits per pixel.
        share: of the file, 0..1.
        total: bytes from the start of the file to its end.
        version: None of the header, which decodes to nothing.
    """

    name: str
    size: int
    bpp: float
    share: float
    total: int
    version: Version | None


def render_comparison(comparison: Comparison, name: str, original_name: str, file: bytes) -> str:
    """The comparison as one HTML document that works offline.

    Args:
        comparison: what is compared.
        name: of the `.sbt` file.
        original_name: name of the original.
        file: the bytes of the original.
    """
    area = comparison.area
    return render_page(
        "compare.html",
        name=name,
        comparison=comparison,
        area=area,
        whole=comparison.whole,
        original_bytes=len(file),
        viewer=Viewer(
            "viewer",
            "Two versions of the picture",
            list(_choices(comparison, len(file))),
            left=_ORIGINAL,
            right=comparison.whole.key,
            width=area.width,
            height=area.height,
        ),
        looks=[_looks_viewer(comparison, look) for look in comparison.looks],
        layers=list(_layers(comparison)),
        at_equal_bytes=list(_at_equal_bytes(comparison)),
        pictures=list(_pictures(comparison, original_name, file)),
        has_ms_ssim=not math.isnan(comparison.whole.ms_ssim),
        ms_ssim_max_megapixels=MS_SSIM_MAX_PIXELS / 1e6,
        facts=[
            ("program", f"sbtcodec {sbtcodec.__version__}, model {comparison.model}"),
            ("quality", f"{comparison.quality:.0f} of 100"),
            ("original", original_name),
            *((v.key, v.settings) for v in (*comparison.looks, *comparison.others)),
        ],
    )


def _choices(comparison: Comparison, original_bytes: int) -> Iterator[Choice]:
    yield Choice(_ORIGINAL, "original", f"{grouped(original_bytes)} bytes")
    for one in comparison.prefixes:
        yield Choice(one.key, one.label, _detail(one), "this file")
    for one in comparison.looks:
        yield Choice(one.key, one.label, _detail(one), "another look of it")
    for one in comparison.others:
        yield Choice(one.key, one.label, _detail(one), "other codecs")


def _looks_viewer(comparison: Comparison, look: Version) -> Viewer:
    """The faithful look of the whole file and another one, side by side."""
    whole, area = comparison.whole, comparison.area
    return Viewer(
        f"viewer-{look.key}",
        "The faithful and another look of the file",
        [
            Choice(whole.key, "faithful look", _detail(whole)),
            Choice(look.key, look.label, _detail(look)),
        ],
        left=whole.key,
        right=look.key,
        width=area.width,
        height=area.height,
    )


def _detail(version: Version) -> str:
    text = f"{grouped(version.size)} bytes · {version.bpp:.3f} bpp · {number(version.psnr, 2)} dB"
    return text if version.fits else f"{text} · larger than the .sbt"


def _layers(comparison: Comparison) -> Iterator[_Layer]:
    pixels = comparison.width * comparison.height
    versions = (None, *comparison.prefixes)
    total = 0
    for part, version in zip(comparison.parts, versions, strict=True):
        total += part.size
        yield _Layer(
            part.name,
            part.size,
            bpp=8 * part.size / pixels,
            share=part.size / comparison.size,
            total=total,
            version=version,
        )


def _at_equal_bytes(comparison: Comparison) -> Iterator[tuple[str, Version]]:
    """The whole file and the other codecs, with their labels."""
    # A file of global tokens alone has a quality too, which says nothing of it.
    detail = f"q{comparison.quality:.0f}" if len(comparison.prefixes) > 1 else "globals only"
    yield f"sbt {detail}", comparison.whole
    for version in comparison.others:
        yield version.label, version


def _pictures(comparison: Comparison, original_name: str, file: bytes) -> Iterator[_Picture]:
    given = original_uri(file, comparison.original)
    detail = f"{original_name}, {grouped(len(file))} bytes"
    yield _Picture(_ORIGINAL, "original", detail, given)
    for one in comparison.versions:
        yield _Picture(one.key, one.label, _detail(one), lossless_uri(one.pixels))
