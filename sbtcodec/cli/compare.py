"""The command `compare`: a page that shows a file beside its original and other codecs."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sbtcodec.cli.common.options import (
    Device,
    DeviceOption,
    ForceOption,
    JsonOption,
    MaxPixelsOption,
    Precision,
    PrecisionOption,
)
from sbtcodec.cli.common.paths import default_output, image_input, naming, read_sbt
from sbtcodec.cli.common.report import number, print_json, warn
from sbtcodec.container import check_pixels, describe, unpack
from sbtcodec.image.files import check_output, check_separate, write_atomically
from sbtcodec.limits import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from sbtcodec.evaluation.versions import Area, Comparison, Version


def compare(
    original: Annotated[
        Path, typer.Argument(metavar="ORIGINAL", help="The image that the file was made from.")
    ],
    source: Annotated[Path, typer.Argument(metavar="FILE.sbt", help="The file to look at.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The page to write.", show_default="FILE.html beside it"),
    ] = None,
    against: Annotated[
        str,
        typer.Option(help="Codecs to show at equal bytes: jpeg, webp, avif, jxl; or none."),
    ] = "jpeg,webp,avif",
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="Show this piece only; bytes and measurements stay those of the whole picture.",
            show_default="all; of over 4 megapixels the centre",
        ),
    ] = None,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Write a page to compare a file, layer by layer, with its original and other codecs.

    The page is one file that works offline: a divider between any two versions of the picture,
    zoom, their difference, and a table of what each layer costs and brings. Versions are the
    original, the file cut after each of its layers, and the other codecs at the highest quality
    that needs no more bytes than the file. If the model has a vivid look, the whole file with it is
    a version, too, and both looks stand side by side.

    \b
    Examples:
      sbtcodec compare photo.png photo.sbt
      sbtcodec compare photo.png photo.sbt --out page.html --against avif,jxl
      sbtcodec compare large.jpg large.sbt --crop 800,600,1024,1024
    """
    data = read_sbt(source)
    with naming(source):
        unpack(data)
        info = describe(data)
        check_pixels(info, max_pixels)
    out = out or default_output(source, ".html")
    for taken in (original, source):
        check_separate(taken, out)
    check_output(out, force=force)
    from sbtcodec.evaluation import codecs
    from sbtcodec.evaluation.compare import check_sizes, default_area
    from sbtcodec.image.pixels import load_image
    from sbtcodec.image.transparency import WHITE, over

    area = default_area(info.width, info.height)
    if crop is not None:
        area = _area(crop, info.width, info.height)
    names = [] if against.strip() in ("", "none") else [n.strip() for n in against.split(",")]
    if wrong := [name for name in names if name not in codecs.CLASSICAL]:
        raise typer.BadParameter(
            f"no codec to compare with is called {wrong[0]!r}; there are"
            f" {', '.join(codecs.CLASSICAL)}",
            param_hint="--against",
        )
    baselines = [codecs.load_codec(name) for name in dict.fromkeys(names)]
    found = image_input(original)
    picture = load_image(found, max_pixels=max_pixels)
    for notice in picture.notices:
        warn(original, notice)
    if picture.alpha is not None:
        warn(original, "what is transparent is shown, and measured, over white")
    check_sizes((picture.rgb.shape[1], picture.rgb.shape[0]), (info.width, info.height))
    file = original.read_bytes() if isinstance(found, Path) else found
    from rich.console import Console
    from rich.progress import Progress

    from sbtcodec.codec.codec import Codec
    from sbtcodec.evaluation.compare import compare as compare_versions
    from sbtcodec.evaluation.compare_page import render_comparison

    codec = Codec.load(device.value, precision=precision.value, encoder=False)
    shown = sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not shown) as progress:
        steps = sum(layer.present_bytes > 0 for layer in info.layers) + len(baselines)
        steps += codec.has_look(info.model)
        task = progress.add_task("", total=steps)

        def tell(step: str) -> None:
            progress.update(task, description=step, advance=0 if step == "globals only" else 1)

        with naming(source):
            comparison = compare_versions(
                over(picture, WHITE), data, codec, baselines, area, tell=tell
            )
        progress.update(task, description="page")
        page = render_comparison(comparison, source.name, original.name, file).encode()
    write_atomically(out, page, force=force)
    if json:
        print_json(_fields(original, source, out, len(page), comparison))
    else:
        _print(out, len(page), comparison)


def _area(text: str, width: int, height: int) -> "Area":
    from sbtcodec.evaluation.compare import MAX_AREA_SIDE
    from sbtcodec.evaluation.versions import Area

    try:
        left, top, w, h = (int(value) for value in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"found {text!r}, expected four whole numbers such as 0,0,512,512", param_hint="--crop"
        ) from error
    if left < 0 or top < 0 or w < 1 or h < 1 or left + w > width or top + h > height:
        raise typer.BadParameter(
            f"the piece {text} is not inside the picture of {width} x {height} pixels",
            param_hint="--crop",
        )
    if w * h > MAX_AREA_SIDE**2:
        raise typer.BadParameter(
            f"the piece has {number(w * h)} pixels, expected at most {number(MAX_AREA_SIDE**2)}",
            param_hint="--crop",
        )
    return Area(left, top, w, h)


def _print(out: Path, page_bytes: int, comparison: "Comparison") -> None:
    print(f"{'':28}  {'bytes':>10}  {'bpp':>7}  {'PSNR':>8}")
    for version in comparison.versions:
        larger = "" if version.fits else "  the smallest it can be"
        print(
            f"{version.label:28}  {number(version.size):>10}  {version.bpp:7.4f}"
            f"  {version.psnr:5.2f} dB{larger}"
        )
    print(f"{out}  {number(page_bytes)} bytes")


def _fields(
    original: Path, source: Path, out: Path, page_bytes: int, comparison: "Comparison"
) -> dict[str, Any]:
    area = comparison.area
    return {
        "original": original,
        "input": source,
        "output": out,
        "page_bytes": page_bytes,
        "bytes": comparison.size,
        "width": comparison.width,
        "height": comparison.height,
        "crop": [area.left, area.top, area.width, area.height],
        "parts": {part.name: part.size for part in comparison.parts},
        "versions": [_version(v) for v in comparison.versions],
    }


def _version(version: "Version") -> dict[str, Any]:
    return {
        "name": version.key,
        "bytes": version.size,
        "bpp": round(version.bpp, 6),
        "psnr": "inf" if math.isinf(version.psnr) else round(version.psnr, 4),
        "ms_ssim": None if math.isnan(version.ms_ssim) else round(version.ms_ssim, 6),
        "quality": version.quality,
        "fits": version.fits,
    }
