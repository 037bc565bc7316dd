"""The command `info`: what an `.sbt` file holds, without decoding it."""

from dataclasses import asdict
from typing import Annotated

import typer

from sbtcodec.cli.options import JsonOption, MaxPixelsOption
from sbtcodec.cli.paths import naming, place, place_name, read_sbt
from sbtcodec.cli.report import number, print_json
from sbtcodec.container import DEFAULT_MAX_PIXELS, FileInfo, LayerInfo, check_pixels, describe


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
    print(place_name(source))
    print(
        f"{content.width} x {content.height} pixels, model {content.model},"
        f" quality {content.quality:.0f}, format version {content.version}"
    )
    print(_table(content))
    print(_verdict(content))


def _table(content: FileInfo) -> str:
    """The parts of a file, in columns. Not by rich, which takes long to import."""
    pixels = content.width * content.height
    rows = [
        (layer.name, layer.present_bytes, 8 * layer.present_bytes / pixels, _state(layer))
        for layer in content.layers
    ]
    overhead = content.overhead_bytes
    chunks = ", ".join(f"{kind} {number(size)}" for kind, size in content.chunks)
    rows.append(
        ("overhead", overhead, 8 * overhead / pixels, f"with the chunks {chunks}" if chunks else "")
    )
    rows.append(("file", content.file_bytes, content.bpp, ""))
    lines = [f"  {'part':<21}  {'bytes':>10}  {'bpp':>8}  state"]
    lines += [
        f"  {name:<21}  {number(size):>10}  {bpp:>8.4f}  {state}".rstrip()
        for name, size, bpp, state in rows
    ]
    rule = "  " + "-" * (max(map(len, lines)) - 2)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


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
