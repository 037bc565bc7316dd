"""The base layer against AVIF and WebP that were given no more bytes than it takes.

    python -m benchmarks.base_layer --data-dir FOLDER [--perceptual TRUNK] [--out TABLE]
        [--picture FILE [--show NAME ...]]

prints means over the images of FOLDER. At these rates the classical codecs cannot code the image at
its size, so each image is made smaller first, by the factor that serves it best.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.output import (
    add_options,
    check,
    dataset_of,
    heading,
    paragraph,
    publish,
    table,
    webp_of,
)
from benchmarks.rivals import FACTORS, Coded, Shrunk, avif_container, webp_container
from sbtcodec.codec.codec import Codec
from sbtcodec.container import unpack
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.codecs import ImageCodec, load_codec
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.metrics import Rgb, ms_ssim, psnr
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.evaluation.run import bits_per_pixel
from sbtcodec.evaluation.table import number
from sbtcodec.image.comparison import side_by_side
from sbtcodec.image.files import write_atomically
from sbtcodec.rdo.effort import DEFAULT_EFFORT

SIDE = 384
EFFORT = 5
SBT, BETTER_SBT = "sbt, base layer", f"the same, effort {EFFORT}"
AVIF, FREE_AVIF, WEBP = "AVIF", "AVIF, container free", "WebP"


def code_all(codec: Codec, rivals: dict[str, ImageCodec], rgb: Rgb) -> dict[str, Coded]:
    """One image by every way of the table."""
    ours = {
        name: codec.compress(rgb, globals_only=True, effort=effort)
        for name, effort in ((SBT, DEFAULT_EFFORT), (BETTER_SBT, EFFORT))
    }
    size = max(map(len, ours.values()))
    avif, webp = Shrunk(rivals["avif"], rgb), Shrunk(rivals["webp"], rgb)
    return {
        name: Coded(codec.decode(data).rgb, len(data), len(data) - unpack(data).coded_bytes)
        for name, data in ours.items()
    } | {
        AVIF: avif.best(size, avif_container, free=False),
        FREE_AVIF: avif.best(size, avif_container, free=True),
        WEBP: webp.best(size, webp_container, free=False),
    }


def middle(rgb: Rgb, side: int) -> Rgb:
    """The middle of an image, at most `side` pixels high and wide."""
    top, left = (max(0, (length - side) // 2) for length in rgb.shape[:2])
    return rgb[top : top + side, left : left + side]


def measure(
    rgb: Rgb, coded: dict[str, Coded], distance: VggDistance | None, side: int
) -> dict[str, list[float]]:
    """Of every way: bytes, bits per pixel, PSNR, MS-SSIM, perceptual distance (or nan).

    The last is that of the middle `side` by `side` pixels: it takes more time than all the rest.
    """
    to_original = distance.to(middle(rgb, side)) if distance else lambda _: float("nan")
    return {
        name: [
            one.size,
            bits_per_pixel(one.size, rgb),
            psnr(rgb, one.rgb),
            ms_ssim(rgb, one.rgb),
            to_original(middle(one.rgb, side)),
        ]
        for name, one in coded.items()
    }


def report(
    title: str,
    coded: Sequence[dict[str, Coded]],
    measured: Sequence[dict[str, list[float]]],
    side: int,
) -> str:
    """The text of the benchmark: a table of means, and what to know about it."""
    rows = []
    for name in coded[0]:
        size, bpp, *quality = np.mean([one[name] for one in measured], 0)
        ways = [one[name] for one in coded]
        factors = Counter(way.factor for way in ways).most_common()
        rows.append(
            [
                name,
                f"{size:.1f}",
                f"{bpp:.4f}",
                *(number(value, digits) for value, digits in zip(quality, (2, 4, 4), strict=True)),
                f"{np.mean([way.container for way in ways]):.0f}",
                f"{sum(not way.fits for way in ways)}",
                "" if name in (SBT, BETTER_SBT) else ", ".join(f"{f} ({n})" for f, n in factors),
            ]
        )
    headings = ["", "bytes", "bpp", "PSNR dB", "MS-SSIM", "VGG dist.", "container", "too large"]
    shown = table([*headings, "smaller by (images)"], rows)
    notes = f"""
        Means over the images, files with their headers. AVIF (speed 4) and WebP (method 6) code the
        image made smaller by {", ".join(map(str, FACTORS))} (Lanczos), at the highest quality
        within the bytes of that image's larger .sbt file, and it is made larger again (bicubic). Of
        the factors each image takes the one of the best PSNR, which favours AVIF and WebP: neither
        the factor nor the size of the original is stored. "Container" is how many bytes of a file
        are not the coded picture; "container free" does not count them, as if all files shared one.
        "Too large" counts images of which no file fits; their smallest file is in the means.
        VGG dist. (0 is best) is sbtcodec's VggDistance, which is not LPIPS, of the middle {side}
        by {side} pixels.
    """
    return "\n\n".join([title, shown, paragraph(notes)])


def picture(shown: Sequence[dict[str, Coded]], originals: Sequence[Rgb]) -> bytes:
    """A row of pictures for each image, one for each way of the table; the bytes of a WebP file."""
    sheets = []
    for coded, rgb in zip(shown, originals, strict=True):
        panels = [
            (one.rgb, f"{name}: {one.size} bytes, {psnr(rgb, one.rgb):.1f} dB")
            for name, one in coded.items()
        ]
        sheets.append(side_by_side(panels, columns=len(panels)))
    width = max(sheet.shape[1] for sheet in sheets)
    filled = [
        np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets
    ]
    return webp_of(np.concatenate(filled), 90)


def run(
    codec: Codec,
    dataset: Dataset,
    distance: VggDistance | None,
    *,
    side: int = SIDE,
    show: Sequence[str] = (),
) -> tuple[str, bytes]:
    """Measure; gives the text, and a picture of the images named (the first two by default).

    Raises:
        SbtError: an image cannot be read, is not in the data set, or Pillow lacks a codec.
    """
    rivals = {name: load_codec(name) for name in ("avif", "webp")}
    names = tuple(show) or dataset.image_names[:2]
    originals = [dataset.image(name) for name in names]
    every, measured, shown = [], [], {}
    for name, rgb in tqdm(dataset.images(), total=len(dataset.paths), disable=None):
        coded = code_all(codec, rivals, rgb)
        measured.append(measure(rgb, coded, distance, side))
        every.append(coded)
        if name in names:
            shown[name] = coded
    text = report(heading(dataset, codec), every, measured, side)
    return text, picture([shown[name] for name in names], originals)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--perceptual", type=Path, help="VGG-16 trunk (safetensors)")
    parser.add_argument(
        "--side", type=int, default=SIDE, help="of the middle whose perceptual distance is taken"
    )
    parser.add_argument("--picture", type=Path, help="write pictures side by side (.webp)")
    parser.add_argument("--show", nargs="+", default=(), help="images of the picture")
    a = parser.parse_args()
    try:
        for path in (a.out, a.picture):
            check(path, force=a.force)
        dataset = dataset_of(a.data_dir, a.limit)
        distance = VggDistance(a.perceptual) if a.perceptual else None
        text, sheet = run(
            Codec.load("cpu", precision="float32"), dataset, distance, side=a.side, show=a.show
        )
        publish(text, a.out, force=a.force)
        if a.picture:
            write_atomically(a.picture, sheet, force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
