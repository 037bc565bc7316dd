"""The vivid look's stage of training: from photographs and a frozen model to a weights file."""

from dataclasses import replace
from pathlib import Path

from sbtcodec.errors import WeightsError
from sbtcodec.models.looks import add_look, write_look
from sbtcodec.models.release import Release, load_release
from sbtcodec.runtime.devices import device_of
from sbtcodec.tokenizer.look import Look
from sbtcodec.training import checkpoint
from sbtcodec.training.config import recipe_of
from sbtcodec.training.vivid_run import train_vivid
from sbtcodec.training.vivid_state import REFINED, VividTraining

PRESETS: dict[str, VividTraining] = {
    "base": VividTraining(),
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
    """Train the vivid look of the default model.

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
        export: folder of models, whose default model gets this look afterwards.

    Returns:
        Path of the checkpoint.

    Raises:
        ArgumentError: there is no such preset.
        SbtError: no photographs, no trunk, a checkpoint does not fit, or a gradient is not finite.
    """
    recipe = recipe_of(preset, PRESETS)
    if minutes is not None:
        recipe = replace(recipe, minutes=minutes)
    release = load_release()
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
    tensors, progress = checkpoint.load(run)
    if "vivid" not in progress:
        raise WeightsError(
            f"{run} is a checkpoint of another stage, expected one of the vivid look"
        )
    recipe = progress["vivid"]
    look = Look(release.model.config.tokenizer, recipe["finest_width"], REFINED)
    averaged = {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}
    try:
        look.load_state_dict(averaged)
    except RuntimeError as error:
        raise WeightsError(f"{run} does not fit {release.name}: {error}") from error
    told = recipe | {"steps": progress["step"]}
    write_look(path, look, number=release.number, digest=release.digest.hex(), recipe=told)
    return path
