"""The command `models`: the models of this installation, which files name by their numbers."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.common.options import JsonOption
from sbtcodec.cli.common.report import number, print_json
from sbtcodec.errors import WeightsError
from sbtcodec.models.registry import MANIFEST, Entry, read_manifest, weights_dir


def models(
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="DIR",
            help="A folder of models, instead of the installed one.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the models of this installation.

    A file names the model that made it by a number, which stands for one digest for ever: whatever
    has that number and that digest reads the file. The default model encodes; of older ones, which
    files may still need, the decoder alone may be there.

    \b
    Examples:
      sbtcodec models
      sbtcodec models --json
    """
    folder = weights_dir() if weights is None else weights
    if not (folder / MANIFEST).is_file():
        raise WeightsError(
            f"{folder} has no {MANIFEST}, expected a folder of models; check --weights"
        )
    manifest = read_manifest(folder)
    if json:
        for model in manifest.models:
            size = _size(folder, model)
            default = model.number == manifest.default
            fields = asdict(model) | {"abilities": model.abilities, "bytes": size}
            print_json(fields | {"default": default})
        return
    print(f"{'number':>6}  {'name':<12}  {'digest':<12}  {'bytes':>11}  abilities")
    for model in manifest.models:
        abilities = ", ".join(model.abilities)
        mark = "  (default)" if model.number == manifest.default else ""
        size = _size(folder, model)
        shown = "missing" if size is None else number(size)
        row = f"{model.number:>6}  {model.name:<12}  {model.digest[:12]}  {shown:>11}  {abilities}"
        print(row + mark)


def _size(folder: Path, model: Entry) -> int | None:
    """Bytes of the weights; None if they are not there."""
    path = folder / model.file
    return path.stat().st_size if path.is_file() else None
