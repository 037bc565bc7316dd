"""The predictor's stage of training: local tokens from the frozen global tokens of a model."""

from dataclasses import replace
from pathlib import Path

from sbtcodec.models.release import load_release
from sbtcodec.training.config import recipe_of
from sbtcodec.training.local_data import local_data
from sbtcodec.training.predictor import weights_in
from sbtcodec.training.predictor_run import PredictorTraining, train_predictor
from sbtcodec.training.processes import Processes

TOKENS = "tokens"  # folder in that of the run

BASE = PredictorTraining()
PRESETS: dict[str, PredictorTraining] = {
    "base": BASE,
    "half": replace(BASE, scale=0.5),
    "double": replace(BASE, scale=2.0),
    "fourfold": replace(BASE, scale=4.0),
    "pixels": replace(BASE, pixels=True, bootstrap=False),
    "both": replace(BASE, pixels=True),
    "tiny": replace(BASE, minutes=1.0, batch=4, warmup_steps=5),
}
SQUARES = {"tiny": 2}  # of a photograph, where not those of `local_data`


def predictor_stage(
    preset: str,
    out: Path,
    *,
    data: Path | None = None,
    classes: Path | None = None,
    held_out: Path | None = None,
    warm_start: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
) -> Path:
    """Train a predictor of the default model's local tokens; the model stays as it is.

    Args:
        preset: a name of PRESETS.
        out: folder of the run; tokens are kept there, too.
        data: folder of photographs.
        classes: another one; photographs are looked for in folders of folders, and all are alike.
        held_out: folder of photographs to measure by.
        warm_start: released weights, or a checkpoint of a predictor of the same scale.
        minutes: length of the run, the preset's if not given.
        steps: stop after so many steps in all.
        resume: go on from the checkpoint in `out`.
        device: auto, cpu or cuda.

    Returns:
        Path of the checkpoint.

    Raises:
        ArgumentError: there is no such preset.
        DatasetError: no photographs that are large enough.
        WeightsError: a checkpoint does not fit, or a gradient is not finite.
    """
    recipe = recipe_of(preset, PRESETS)
    if minutes is not None:
        recipe = replace(recipe, minutes=minutes)
    start = None if warm_start is None else weights_in(warm_start)
    processes = Processes.joined(device)
    rank, where = processes.rank, str(processes.device)
    release = load_release()
    release.model.tokenizer.to(where)
    kept, each = out / TOKENS, SQUARES.get(preset, 4)
    folders = [folder for folder in (data, classes) if folder is not None]
    if rank:
        processes.wait()  # for the first one, which keeps what the others read
    learnt = local_data(
        release, kept, folders=folders, each=each, pixels=recipe.pixels, device=where
    )
    if not rank:
        processes.wait()
    judged = None
    if held_out is not None and rank == 0:
        judged = local_data(release, kept, folders=[held_out], each=1, device=where)
    path = train_predictor(
        recipe,
        release.model.tokenizer,
        learnt,
        out=out,
        held_out=judged,
        start=start,
        resume=resume,
        steps=steps,
        device=where,
        rank=rank,
        world=processes.world,
    )
    processes.leave()
    return path
