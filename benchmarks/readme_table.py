"""The measurements in README.md and docs/results.md, made from the committed results.

    python -m benchmarks.readme_table

writes anew the parts of these documents that end with `<!-- end -->` and begin with one of

    <!-- compared: FILE -->   bytes of all codecs at equal quality, of one run
    <!-- results: FILE -->    BD-rates, and the points of sbt
    <!-- every: FILE -->      BD-rates, and the points of all codecs
    <!-- published: FILE -->  BD-rates against published curves
    <!-- printed: FILE -->    what a script printed
"""

import argparse
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from sbtcodec.evaluation.curves import METRICS, Curve, Metric, frontier, mean_curve
from sbtcodec.evaluation.document import read_results
from sbtcodec.evaluation.kodak import KODAK_SHA256
from sbtcodec.evaluation.metrics import decibels
from sbtcodec.evaluation.published import published_curves
from sbtcodec.evaluation.results import Results
from sbtcodec.evaluation.table import caption, markdown_published, markdown_table, number

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "docs/results.md")
PART = re.compile(
    r"<!-- (compared|results|every|published|printed): (\S+) -->\n.*?<!-- end -->", re.DOTALL
)

PSNR, MS_SSIM, SSIMULACRA2 = METRICS
SCORES: tuple[tuple[str, Metric, float], ...] = (
    ("PSNR 28 dB", PSNR, 28.0),
    ("33 dB", PSNR, 33.0),
    ("MS-SSIM 0.95", MS_SSIM, decibels(0.95)),
    ("0.98", MS_SSIM, decibels(0.98)),
    ("SSIMULACRA2 20", SSIMULACRA2, 20.0),
    ("60", SSIMULACRA2, 60.0),
)
"""The columns of the comparison: heading, metric and the score that is reached."""
NAMES = {
    "sbt": "sbtcodec",
    "sbt:vivid": "sbtcodec, vivid look",
    "jpeg": "JPEG",
    "webp": "WebP",
    "avif": "AVIF",
    "jxl": "JPEG XL",
}


def bpp_at(curve: Curve, metric: Metric, score: float) -> float:
    """The rate at which a codec reaches a score, between two of its measured points.

    The logarithm of the rate is taken to be linear between them; nan beyond the points.
    """
    rates, scores = frontier(curve, metric)
    if not scores or not scores[0] <= score <= scores[-1]:
        return math.nan
    return math.exp(float(np.interp(score, scores, np.log(rates))))


def comparison(results: Results) -> str:
    """Bytes of every codec at equal quality as a Markdown table, with what was measured.

    Raises:
        ValueError: the images have several sizes, so that a mean rate is no number of bytes.
    """
    sizes = {image.width * image.height for image in results.images}
    if len(sizes) != 1:
        raise ValueError(f"found images of {len(sizes)} sizes, expected one")
    pixels = sizes.pop()

    def size(bpp: float) -> str:
        return "–" if math.isnan(bpp) else f"{round(bpp * pixels / 8):,}".replace(",", " ")

    headings = ["bytes for", *(heading for heading, _, _ in SCORES)]
    rows = [[*headings, "fewest bytes", "encode s", "decode s"]]
    rows.append(["---", *["---:"] * (len(rows[0]) - 1)])
    for codec in results.codecs:
        curve = mean_curve(codec)
        least = curve.points[0]
        seconds = (
            np.mean([getattr(point, kind) for point in curve.points])
            for kind in ("encode_seconds", "decode_seconds")
        )
        rows.append(
            [
                NAMES[codec.name],
                *(size(bpp_at(curve, metric, score)) for _, metric, score in SCORES),
                f"{size(least.bpp)} ({number(least.psnr, 1)} dB)",
                *(f"{value:.3f}" for value in seconds),
            ]
        )
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    settings = "; ".join(
        f"{NAMES[codec.name]}: {codec.settings}" for codec in results.codecs if codec.name != "sbt"
    )
    return f"{table}\n\n{caption(results)} {settings}.\n"


def every_point(results: Results) -> str:
    """BD-rates and the points of all codecs as Markdown, and what the codecs' settings were."""
    names = [codec.name for codec in results.codecs]
    settings = "; ".join(f"{codec.name}: {codec.settings}" for codec in results.baselines)
    return f"{markdown_table(results, codecs=names).rstrip()} {settings}.\n"


def against_published(results: Results) -> str:
    """BD-rates against all published curves as Markdown.

    Raises:
        ValueError: the results are not of the images that the curves are about.
    """
    if results.dataset != "kodak" or len(results.images) != len(KODAK_SHA256):
        found = f"{len(results.images)} images of {results.dataset}"
        raise ValueError(f"found {found}, expected all of kodak")
    return markdown_published(replace(results, published=published_curves()))


MAKERS: dict[str, Callable[[Path], str]] = {
    "compared": lambda path: comparison(read_results(path)),
    "results": lambda path: markdown_table(read_results(path)),
    "every": lambda path: every_point(read_results(path)),
    "published": lambda path: against_published(read_results(path)),
    "printed": lambda path: f"```text\n{path.read_text(encoding='utf-8').rstrip()}\n```\n",
}


def with_measurements(document: str) -> str:
    """A document with every measured part made from the file that it names."""

    def part(found: re.Match[str]) -> str:
        kind, name = found.groups()
        return f"<!-- {kind}: {name} -->\n\n{MAKERS[kind](ROOT / name)}\n<!-- end -->"

    return PART.sub(part, document)


def main() -> None:
    """Make the measured parts of the documents anew."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(with_measurements(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
