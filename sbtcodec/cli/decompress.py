"""The command `decompress`: an `.sbt` file into an image file."""

import time
from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.options import Device, DeviceOption, ForceOption, JsonOption, QuietOption
from sbtcodec.cli.paths import default_output, naming, read_sbt
from sbtcodec.cli.report import print_json, warn
from sbtcodec.container import unpack
from sbtcodec.image.files import check_output, check_separate


def decompress(
    source: Annotated[Path, typer.Argument(metavar="FILE.sbt", help="The file to decode.")],
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT",
            help="The image to write, in the format of its extension.",
            show_default="a PNG beside it",
        ),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option("--layers", min=0, help="Use N detail layers; 0 is the global tokens alone."),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Decode what is whole of a file that was cut.")
    ] = False,
    device: DeviceOption = Device.AUTO,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decode an .sbt file into an image."""
    data = read_sbt(source)
    with naming(source):
        header = unpack(data, allow_partial=allow_partial).header
    output = output or default_output(source, ".png")
    check_separate(source, output)
    check_output(output, force=force)
    from sbtcodec.image.pixels import check_format, save_image

    check_format(output)
    from sbtcodec.codec import Codec

    codec = Codec.load(device.value)
    start = time.perf_counter()
    with naming(source):
        decoded = codec.decode(data, layers, allow_partial=allow_partial)
    seconds = time.perf_counter() - start
    if decoded.notice:
        warn(source, decoded.notice)
    save_image(decoded.rgb, output, force=force)

    if json:
        print_json(
            {
                "input": source,
                "output": output,
                "width": header.width,
                "height": header.height,
                "layers": decoded.layers,
                "declared_layers": decoded.declared_layers,
                "seconds": round(seconds, 3),
                "notices": [decoded.notice] if decoded.notice else [],
            }
        )
    elif not quiet:
        print(
            f"{output}  {header.width} x {header.height} pixels"
            f"  {decoded.layers} of {decoded.declared_layers} detail layers  {seconds:.2f} s"
        )
