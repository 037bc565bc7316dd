"""The looks' stage of training: from photographs and a frozen model to a weights file.

Two kinds: the vivid look, and better networks for pictures of global tokens alone, faithful as the
model's own, which become part of it.
"""

import tempfile
from dataclasses import asdict, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from sbtcodec.errors import ModelMismatchError, WeightsError
from sbtcodec.models.export import export_alone
from sbtcodec.models.looks import add_look, write_look
from sbtcodec.models.registry import read_manifest
from sbtcodec.models.release import Release, load_release
from sbtcodec.runtime.devices import device_of
from sbtcodec.tokenizer.look import Look, mixed
from sbtcodec.training import checkpoint
from sbtcodec.training.config import recipe_of
from sbtcodec.training.publish import add
from sbtcodec.training.vivid_run import train_vivid
from sbtcodec.training.vivid_state import VividTraining, faithful_start, sizes_of

PRESETS: dict[str, VividTraining] = {
    "base": VividTraining(),
    "alone": VividTraining(
        minutes=75.0,
        batch=8,
        alone_share=1.0,
        finest_width=0,
        squared_error=0.0,
        log_error=1.0,
        perceptual=0.7,
        looked_at=2,
        texture=0.0,
        folds=8000.0,
        carriers=2.0,
        colour=0.0,
        adversarial=0.0,
        faithful_share=0.0,
    ),
    "tiny": VividTraining(minutes=1.0, batch=1, side=64, finest_width=8, warmup_steps=5),
}


def vivid_stage(
    preset: str,
    out: Path,
    *,
    data: Path,
    trunk: Path,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    warm_start: Path | None = None,
    device: str = "auto",
    export: Path | None = None,
) -> Path:
    """Train the vivid look of the default model, or its networks for global tokens alone.

    Args:
        preset: a name of PRESETS.
        out: folder of the run.
        data: folder of photographs.
        trunk: weights of a VGG-16 trunk.
        minutes: length of the run, the preset's if not given.
        steps: stop after so many steps in all.
        resume: go on from the checkpoint in `out`.
        warm_start: weights of a look to start from.
        device: auto, cpu or cuda.
        export: folder of models, whose default model gets this look afterwards, or these networks
            and another name: sbt-9.1 after sbt-9.

    Returns:
        Path of the checkpoint.

    Raises:
        ArgumentError: there is no such preset.
        SbtError: no photographs, no trunk, a checkpoint does not fit, a gradient is not finite, or
            the model to export to is another one.
    """
    recipe = recipe_of(preset, PRESETS)
    if minutes is not None:
        recipe = replace(recipe, minutes=minutes)
    release = load_release()
    if export is not None:
        check_same(release, load_release(folder=export))
    path = train_vivid(
        recipe,
        release,
        data=data,
        trunk=trunk,
        out=out,
        resume=resume,
        warm_start=warm_start,
        steps=steps,
        device=str(device_of(device)),
    )
    if export is not None:
        if recipe.alone:
            export_networks(path, export)
        else:
            add_look(export, export_look(path, release, export / "vivid.part"))
    return path


def export_look(run: Path, release: Release, path: Path) -> Path:
    """Write the averaged look of a checkpoint as a weights file.

    Args:
        run: the checkpoint.
        release: the model whose files it shows.
        path: the file to write.

    Raises:
        WeightsError: the checkpoint is none of a vivid look.
    """
    look, recipe, told = averaged_look(run, release)
    if recipe.alone:
        raise WeightsError(f"{run} has learned no look: pictures of global tokens alone only")
    write_look(path, look, number=release.number, digest=release.digest.hex(), recipe=told)
    return path


def export_networks(run: Path, folder: Path) -> Path:
    """Give the default model of a folder the averaged networks of a checkpoint.

    Args:
        run: a checkpoint of the preset `alone`.
        folder: of models; the model's old weights file goes.

    Returns:
        Path of the new weights file.

    Raises:
        WeightsError: the checkpoint is none of such networks, or of another model.
    """
    release = load_release(folder=folder)
    look, recipe, told = averaged_look(run, release)
    if not recipe.alone:
        raise WeightsError(f"{run} is not of networks for pictures of global tokens alone")
    with tempfile.TemporaryDirectory(prefix=".sbtcodec-", dir=folder) as place:
        path = Path(place, "model.safetensors")
        export_alone(release.path, look, path, recipe=told)
        made = add(folder, path, number=release.number, name=next_name(release))
    release.path.unlink()
    return made


def next_name(release: Release) -> str:
    """The name of a model with better networks: sbt-9.1 after sbt-9; one that is not taken."""
    whole, _, part = release.name.rpartition(".")
    if not (whole and part.isdecimal()):
        whole, part = release.name, "0"
    taken = {model.name for model in read_manifest(release.folder).models}
    numbers = count(int(part) + 1)
    names = (f"{whole}.{number}" for number in numbers)
    return next(
        name
        for name in names
        if name not in taken and not (release.folder / f"{name}.safetensors").exists()
    )


def check_same(release: Release, other: Release) -> None:
    """Make sure that what is trained for one model is for the other.

    Raises:
        ModelMismatchError: it is not.
    """
    if release.digest != other.digest:
        raise ModelMismatchError(
            f"{other.folder} has model {other.model_id}, and what is trained here shows files of"
            f" {release.model_id}: give the folder of that model"
        )


def averaged_look(run: Path, release: Release) -> tuple[Look, VividTraining, dict[str, Any]]:
    """The networks of a checkpoint as they are released: averaged, with a share of the start's.

    Returns:
        The networks, their recipe, and what a weights file says of that.

    Raises:
        WeightsError: the checkpoint is none of a look, or not of one for this model.
    """
    tensors, progress = checkpoint.load(run)
    if "vivid" not in progress:
        raise WeightsError(
            f"{run} is a checkpoint of another stage, expected one of the vivid look"
        )
    if progress.get("of") != release.digest.hex():
        raise WeightsError(f"{run} was not trained for {release.model_id}")
    config = release.model.config.tokenizer
    try:
        recipe = VividTraining(**progress["vivid"])
        sizes = sizes_of(recipe, config)
        look = Look(sizes.within(config) if recipe.alone else config, recipe.finest_width, sizes)
        look.load_state_dict(checkpoint.averaged(tensors))
        if recipe.faithful_share:
            begin = partial(faithful_start, recipe, release)
            look = mixed(look, begin, recipe.faithful_share)
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise WeightsError(f"{run} does not fit {release.name}: {error}") from error
    told = asdict(recipe) | {"steps": progress["step"]}
    return look, recipe, told
