"""The command `models`: the models of this installation, which files name by their numbers."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sbtcodec.cli.common.options import JsonOption, WeightsOption
from sbtcodec.cli.common.report import number, print_json
from sbtcodec.errors import WeightsError
from sbtcodec.generation.facts import read_facts
from sbtcodec.models.registry import (
    MANIFEST,
    Companion,
    Entry,
    read_manifest,
    weights_dir,
)


def models(
    weights: WeightsOption = None,
    json: JsonOption = False,
) -> None:
    """List the models of this installation.

    A file names the model that made it by a number, which stands for one digest for ever: whatever
    has that number and that digest reads the file. The default model encodes; of older ones, which
    files may still need, the decoder alone may be there. A model may have a generator, which makes
    pictures of its own, of the classes that are listed: see sample and complete. Beside the
    faithful look of its files it may have a vivid one: see --realism of decompress, sample and
    complete.

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
    generators = {g.model: _generator(folder, g) for g in manifest.generators}
    looks = {
        m.number: [_look(folder, k) for k in manifest.looks_of(m.number)] for m in manifest.models
    }
    if json:
        for model in manifest.models:
            size = _size(folder, model)
            default = model.number == manifest.default
            fields = asdict(model) | {"abilities": model.abilities, "bytes": size}
            generator = generators.get(model.number)
            fields |= {"default": default, "generator": generator, "looks": looks[model.number]}
            print_json(fields)
        return
    print(f"{'number':>6}  {'name':<12}  {'digest':<12}  {'bytes':>11}  abilities")
    for model in manifest.models:
        abilities = ", ".join(model.abilities)
        mark = "  (default)" if model.number == manifest.default else ""
        size = _size(folder, model)
        shown = "missing" if size is None else number(size)
        row = f"{model.number:>6}  {model.name:<12}  {model.digest[:12]}  {shown:>11}  {abilities}"
        print(row + mark)
    for number_of, found in looks.items():
        for look in found:
            print(f"look {look['name']} of model {number_of}, {_bytes(look['bytes'])}")
    for number_of, generator in generators.items():
        shown = _bytes(generator["bytes"])
        classes = ", ".join(generator["classes"] or ()) or "none"
        print(f"generator {generator['name']} of model {number_of}, {shown}; classes: {classes}")


def _look(folder: Path, entry: Companion) -> dict[str, Any]:
    """What is told of a look."""
    return {"name": entry.name, "file": entry.file, "bytes": _size(folder, entry)}


def _bytes(size: int | None) -> str:
    return "missing" if size is None else f"{number(size)} bytes"


def _generator(folder: Path, entry: Companion) -> dict[str, Any]:
    """What is told of a generator."""
    path = folder / entry.file
    size, classes = _size(folder, entry), None
    if size is not None:
        with suppress(WeightsError):  # damage is told by those who need it
            classes = read_facts(path).config.classes
    return {"name": entry.name, "file": entry.file, "bytes": size, "classes": classes}


def _size(folder: Path, model: Entry | Companion) -> int | None:
    """Bytes of the weights; None if they are not there."""
    path = folder / model.file
    return path.stat().st_size if path.is_file() else None
