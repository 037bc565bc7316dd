"""The command `compress`: an image file into an `.sbt` file."""

import math
import time
from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.options import Device, DeviceOption, ForceOption, JsonOption, QuietOption
from sbtcodec.cli.paths import default_output
from sbtcodec.cli.report import number, print_json, warn
from sbtcodec.image.files import check_output, check_separate, write_atomically


def compress(
    source: Annotated[Path, typer.Argument(metavar="IN", help="The image to compress.")],
    output: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="The file to write.", show_default="IN with .sbt"),
    ] = None,
    quality: Annotated[
        float, typer.Option("--quality", "-q", min=0, max=100, help="Higher is better and larger.")
    ] = 50,
    globals_only: Annotated[
        bool, typer.Option("--globals-only", help="Send the global tokens alone: the least bytes.")
    ] = False,
    device: DeviceOption = Device.AUTO,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress an image into an .sbt file."""
    if math.isnan(quality):  # which the range lets pass
        raise typer.BadParameter("expected a number from 0 to 100", param_hint="--quality")
    output = output or default_output(source, ".sbt")
    check_separate(source, output)
    check_output(output, force=force)
    from sbtcodec.image.pixels import load_image

    picture = load_image(source)
    for notice in picture.notices:
        warn(source, notice)
    from sbtcodec.codec import Codec

    codec = Codec.load(device.value)
    start = time.perf_counter()
    data = codec.compress(picture.rgb, quality, globals_only=globals_only)
    seconds = time.perf_counter() - start
    write_atomically(output, data, force=force)

    height, width = picture.rgb.shape[:2]
    bpp = 8 * len(data) / (width * height)
    if json:
        print_json(
            {
                "input": source,
                "output": output,
                "bytes": len(data),
                "bpp": round(bpp, 6),
                "width": width,
                "height": height,
                "quality": quality,
                "globals_only": globals_only,
                "seconds": round(seconds, 3),
                "notices": picture.notices,
            }
        )
    elif not quiet:
        before = source.stat().st_size
        print(
            f"{output}  {number(len(data))} bytes  {bpp:.3f} bpp"
            f"  of {number(before)} ({before / len(data):.0f}:1)  {seconds:.2f} s"
        )
