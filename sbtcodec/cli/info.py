"""The command `info`: what `.sbt` files hold, without decoding them."""

import os
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from sbtcodec.cli.common.arguments import Task, expand, sbt_files_to
from sbtcodec.cli.common.failures import explain
from sbtcodec.cli.common.operation import failure_fields
from sbtcodec.cli.common.options import JsonOption, MaxPixelsOption, RecursiveOption
from sbtcodec.cli.common.paths import Place, naming, place, place_name, read_sbt
from sbtcodec.cli.common.report import Screen, number, tell, to_json
from sbtcodec.cli.common.summary import Summary
from sbtcodec.container import FileInfo, LayerInfo, check_pixels, describe
from sbtcodec.errors import InvalidFileError, SbtError
from sbtcodec.image.listing import is_pattern
from sbtcodec.limits import DEFAULT_MAX_PIXELS
from sbtcodec.models.registry import read_manifest, weights_dir


def info(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE.sbt...", path_type=str, help="Files, folders or patterns; - is stdin."
        ),
    ],
    recursive: RecursiveOption = False,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    json: JsonOption = False,
) -> None:
    """Show the size, quality and layers of .sbt files.

    Nothing is decoded, so damage inside of a layer is not seen; verify finds it. A file that was
    cut is described as far as it goes. Looks are those of the installed model, for decompress
    --realism. One file that fails does not stop the others.

    \b
    Examples:
      sbtcodec info photo.sbt
      sbtcodec info - --json < photo.sbt
      sbtcodec info small --recursive --json
    """
    if len(paths) == 1 and not (os.path.isdir(paths[0]) or is_pattern(paths[0])):
        tasks = [Task(place(paths[0]), None)]
    elif "-" in paths:
        raise typer.BadParameter("- is one file; it cannot be part of a batch")
    else:
        tasks = expand(paths, sbt_files_to(""), recursive=recursive)
    screen, summary = Screen(), Summary(InvalidFileError.exit_code)
    for index, task in enumerate(tasks):
        try:
            if task.problem is not None:
                raise task.problem
            content = _content(task.source, max_pixels)
        except SbtError as error:
            sentence, exit_code = explain(error)
            summary.failures.append((sentence, exit_code))
            if json:
                screen.out(to_json(failure_fields(task, sentence, exit_code)))
            tell(sentence)
            continue
        if json:
            fields = asdict(content) | {"looks": _looks(content.model)}
            screen.out(to_json({"input": task.source, "state": "done"} | fields))
        else:
            if index:
                screen.out("")
            _print(task.source, content, screen)
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def _content(source: Place, max_pixels: int) -> FileInfo:
    data = read_sbt(source)
    with naming(source):
        content = describe(data)
        check_pixels(content, max_pixels)
    return content


def _print(source: Place, content: FileInfo, screen: Screen) -> None:
    screen.out(place_name(source))
    screen.out(
        f"{content.width} x {content.height} pixels, model {content.model},"
        f" quality {content.quality:g}, format version {content.version}"
    )
    for line in (*_table(content).splitlines(), _verdict(content)):
        screen.out(line)
    if looks := _looks(content.model):
        screen.out(f"looks of its model: {', '.join(looks)}")
    if content.look in ("faithful", "vivid"):
        screen.out(f"meant to be seen: {content.look}")


def _looks(model: int) -> tuple[str, ...] | None:
    """The looks that a model can show files with; None if it is not installed."""
    with suppress(SbtError):  # what is wrong with an installation is told by those who need it
        manifest = read_manifest(weights_dir())
        return manifest.look_names(manifest.entry(model).number)
    return None


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
