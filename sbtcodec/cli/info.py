"""The command `info`: what an `.sbt` file holds, without decoding it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sbtcodec.cli.options import JsonOption, MaxPixelsOption
from sbtcodec.cli.paths import check_pixels, naming, place, place_name, read_sbt
from sbtcodec.cli.report import number, print_json
from sbtcodec.container import DEFAULT_MAX_PIXELS, FileInfo, LayerInfo, describe

if TYPE_CHECKING:
    from rich.table import Table


def info(
    path: Annotated[
        str,
        typer.Argument(
            metavar="FILE.sbt", path_type=str, help="The file to look into; - is stdin."
        ),
    ],
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    json: JsonOption = False,
) -> None:
    """Show the size, quality and layers of an .sbt file.

    Nothing is decoded, so damage inside of a layer is not seen; verify finds it. A file that was
    cut is described as far as it goes.

    \b
    Examples:
      sbtcodec info photo.sbt
      sbtcodec info - --json < photo.sbt
    """
    source = place(path)
    data = read_sbt(source)
    with naming(source):
        content = describe(data)
        check_pixels(content, max_pixels)
    if json:
        print_json({"input": source} | asdict(content))
        return
    from rich.console import Console

    print(place_name(source))
    print(
        f"{content.width} x {content.height} pixels, model {content.model},"
        f" quality {content.quality:.0f}, format version {content.version}"
    )
    Console().print(_table(content))
    print(_verdict(content))


def _table(content: FileInfo) -> "Table":
    from rich import box
    from rich.table import Table

    pixels = content.width * content.height
    table = Table(box=box.SIMPLE, show_footer=True)
    table.add_column("part", footer="file")
    table.add_column("bytes", footer=number(content.file_bytes), justify="right")
    table.add_column("bpp", footer=f"{content.bpp:.4f}", justify="right")
    table.add_column("state")
    for layer in content.layers:
        bpp = 8 * layer.present_bytes / pixels
        table.add_row(layer.name, number(layer.present_bytes), f"{bpp:.4f}", _state(layer))
    chunk_bytes = [f"{kind} {number(size)}" for kind, size in content.chunks]
    overhead = content.overhead_bytes
    table.add_row(
        "overhead",
        number(overhead),
        f"{8 * overhead / pixels:.4f}",
        f"with the chunks {', '.join(chunk_bytes)}" if chunk_bytes else "",
    )
    return table


def _verdict(content: FileInfo) -> str:
    if content.complete:
        return "complete"
    states = [_state(layer) for layer in content.layers]
    if states[0] != "present":
        return "cut before the end of the base layer: nothing can be decoded"
    if all(state in ("present", "missing") for state in states):
        return "cut after a whole layer: what is missing will be predicted"
    return "cut inside a layer: decompress --allow-partial decodes those before it"


def _state(layer: LayerInfo) -> str:
    if layer.present_bytes == 0:
        return "missing"
    if layer.complete:
        return "present"
    return f"cut, of {number(layer.declared_bytes)} bytes" if layer.declared_bytes else "cut"
