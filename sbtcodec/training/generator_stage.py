"""The generator's stage of training: from photographs and a frozen model to a weights file."""

from dataclasses import replace
from pathlib import Path

from sbtcodec.errors import ArgumentError
from sbtcodec.generation.config import AUTOREGRESSIVE, GeneratorConfig
from sbtcodec.generation.stored import add_generator, write_generator
from sbtcodec.models.release import Release, load_release
from sbtcodec.training import checkpoint
from sbtcodec.training.config import recipe_of
from sbtcodec.training.generator_run import GeneratorTraining, train_generator
from sbtcodec.training.processes import Processes
from sbtcodec.training.token_data import token_data

TOKENS = "tokens"  # folder in that of the run
HELD_OUT_SQUARES = (2, 2)  # of a photograph with and without a class

_SIZES = {
    "base": GeneratorConfig(()),
    "small": GeneratorConfig((), width=256, depth=6, heads=4, head_width=192),
    "tiny": GeneratorConfig((), width=64, depth=2, heads=2, head_width=32),
}
PRESETS: dict[str, tuple[GeneratorTraining, GeneratorConfig]] = {
    "base": (GeneratorTraining(), _SIZES["base"]),
    "small": (GeneratorTraining(), _SIZES["small"]),
    "autoregressive": (GeneratorTraining(), replace(_SIZES["base"], order=AUTOREGRESSIVE)),
    "tiny": (GeneratorTraining(minutes=1.0, batch=8, warmup_steps=5), _SIZES["tiny"]),
}
SQUARES = {"tiny": (2, 2)}  # of a photograph, where not those of `token_data`


def generator_stage(
    preset: str,
    out: Path,
    *,
    data: Path | None = None,
    classes: Path | None = None,
    held_out: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
    export: Path | None = None,
) -> Path:
    """Train a generator of the default model's global tokens.

    Args:
        preset: a name of PRESETS.
        out: folder of the run; tokens are kept there, too.
        data: folder of photographs without a class.
        classes: folder with a folder of photographs for each class.
        held_out: the same folders, with other photographs.
        minutes: length of the run, the preset's if not given.
        steps: stop after so many steps in all.
        resume: go on from the checkpoint in `out`.
        device: auto, cpu or cuda.
        export: folder of models, whose default model gets this generator afterwards.

    Returns:
        Path of the checkpoint.

    Raises:
        ArgumentError: there is no such preset.
        DatasetError: no photographs.
        WeightsError: a checkpoint does not fit, or a gradient is not finite.
    """
    recipe, config = recipe_of(preset, PRESETS)
    if minutes is not None:
        recipe = replace(recipe, minutes=minutes)
    processes = Processes.joined(device)
    rank, where = processes.rank, str(processes.device)
    release = load_release()
    release.model.tokenizer.to(where)
    kept, each = out / TOKENS, SQUARES.get(preset, (8, 8))
    if rank == 0:  # the others read what it keeps
        learnt = token_data(release, kept, classes=classes, plain=data, each=each, device=where)
    processes.wait()
    if rank:
        learnt = token_data(release, kept, classes=classes, plain=data, each=each, device=where)
    judged = None
    if held_out is not None and rank == 0:
        judged = token_data(release, kept, classes=held_out, each=HELD_OUT_SQUARES, device=where)
        if judged.classes != learnt.classes:
            raise ArgumentError(
                f"{held_out} has the classes {', '.join(judged.classes)}, expected"
                f" {', '.join(learnt.classes)}, as the photographs to learn from"
            )
    levels = release.model.config.tokenizer.levels
    config = replace(config, levels=levels, classes=learnt.classes)
    path = train_generator(
        recipe,
        config,
        learnt,
        out=out,
        held_out=judged,
        resume=resume,
        steps=steps,
        device=where,
        rank=rank,
        world=processes.world,
    )
    processes.leave()
    if export is not None and rank == 0:
        add_generator(export, export_generator(path, release, export / "generator.part"))
    return path


def export_generator(run: Path, release: Release, path: Path) -> Path:
    """Write the averaged weights of a checkpoint as a weights file.

    Args:
        run: the checkpoint.
        release: the model whose tokens it was trained on.
        path: the file to write.

    Raises:
        WeightsError: the checkpoint is none of a generator.
    """
    tensors, progress = checkpoint.load(run)
    config = GeneratorConfig.from_json(progress["generator"])
    state = checkpoint.averaged(tensors)
    card = {
        "recipe": progress["recipe"],
        "steps": progress["step"],
        "minutes": round(progress["seconds"] / 60, 1),
        "local_channels": release.model.config.tokenizer.local_channels,
    }
    number, digest = release.number, release.digest.hex()
    write_generator(path, config, state, number=number, digest=digest, card=card)
    return path
