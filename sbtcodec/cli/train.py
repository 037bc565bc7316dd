"""`sbtcodec train`: make weights from a folder of photographs."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


class Stage(str, Enum):
    """What learns."""

    CODEC = "codec"
    GENERATOR = "generator"
    PREDICTOR = "predictor"
    VIVID = "vivid"


def train(
    data: Annotated[
        Path | None, typer.Option(help="Folder of photographs to train on.", show_default=False)
    ] = None,
    stage: Annotated[
        Stage,
        typer.Option(
            help="What learns: the codec, a generator of its global tokens, a predictor of its"
            " local tokens from global ones, or the vivid look of its files."
        ),
    ] = Stage.CODEC,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Generator and predictor: folder with a folder of photographs for each class.",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Photographs to measure by; of a generator, with the folders of --classes.",
            show_default=False,
        ),
    ] = None,
    trunk: Annotated[
        Path | None,
        typer.Option(help="Vivid look: weights of a VGG-16 trunk.", show_default=False),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="Recipe: base, muon, finish, structure, symbols, settle, alone, revive, encoder or"
            " tiny; of a generator, base, small, autoregressive or tiny; of a predictor, base,"
            " half, double, fourfold, pixels, both or tiny; of a vivid look, base or tiny, and"
            " alone for better pictures of global tokens alone."
        ),
    ] = "base",
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/base"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stopped.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Length of the whole run; the preset's if absent."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many steps in all.")
    ] = None,
    warm_start: Annotated[
        Path | None, typer.Option(help="Checkpoint or released weights to start from.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Folder to write released weights and a manifest to, after.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    compiled: Annotated[
        bool,
        typer.Option("--compile/--no-compile", help="Compile the networks first, where that pays."),
    ] = True,
) -> None:
    """Train a model, a generator or a predictor, resumably; several GPUs with torchrun.

    The run's folder gets checkpoint.safetensors every few minutes and log.jsonl, one JSON object a
    line. The preset says for how long, on which sizes of pieces and with which losses; a warm start
    takes over what fits of other weights. A generator or a predictor learns from tokens of the
    installed model, computed once and kept in the run's folder; for a generator, --data is of
    photographs without a class.

    \b
    Examples:
      sbtcodec train --data photographs --out runs/mine --minutes 120
      sbtcodec train --data photographs --out runs/mine --minutes 240 --resume
      sbtcodec train --data photographs --out runs/mine --resume --export weights
      torchrun --nproc-per-node 4 -m sbtcodec train --data photographs
      sbtcodec train --stage generator --classes pictures --out runs/generator --minutes 60
      sbtcodec train --stage predictor --data photographs --out runs/predictor --minutes 60
      sbtcodec train --stage vivid --data photographs --trunk vgg16.safetensors --out runs/vivid
    """
    _check_taken(
        stage,
        {
            "--classes": classes,
            "--held-out": held_out,
            "--trunk": trunk,
            "--warm-start": warm_start,
            "--no-compile": None if compiled else True,
        },
    )
    from sbtcodec.runtime.memory import keep

    keep()
    told: dict[str, Any] = {
        "minutes": minutes,
        "steps": steps,
        "resume": resume,
        "device": device,
    }
    if stage is Stage.VIVID:
        if data is None or trunk is None:
            raise typer.BadParameter(
                "the vivid look takes --data and --trunk", param_hint="'--data'"
            )
        from sbtcodec.training.vivid_stage import vivid_stage

        told |= {"warm_start": warm_start, "export": export}
        checkpoint = vivid_stage(preset, out, data=data, trunk=trunk, **told)
    elif stage is not Stage.CODEC:
        if data is None and classes is None:
            raise typer.BadParameter("give --classes, or --data, or both", param_hint="'--classes'")
        told |= {"data": data, "classes": classes, "held_out": held_out}
        if stage is Stage.GENERATOR:
            from sbtcodec.training.generator_stage import generator_stage

            checkpoint = generator_stage(preset, out, export=export, **told)
        elif export is not None:
            raise typer.BadParameter("a predictor is not exported: its checkpoint is all there is")
        else:
            from sbtcodec.training.predictor_stage import predictor_stage

            checkpoint = predictor_stage(preset, out, warm_start=warm_start, **told)
    else:
        if data is None:
            raise typer.BadParameter("a folder of photographs is needed", param_hint="'--data'")
        told |= {"warm_start": warm_start, "compiled": compiled}
        checkpoint = _codec(preset, out, data=data, **told)
    typer.echo(f"checkpoint: {checkpoint}", err=True)
    if stage is Stage.CODEC and export is not None and data is not None:
        from sbtcodec.training.publish import publish

        typer.echo(f"weights: {publish(checkpoint, export, fit_on=data)}", err=True)


_TAKEN: dict[str, tuple[Stage, ...]] = {
    "--classes": (Stage.GENERATOR, Stage.PREDICTOR),
    "--held-out": (Stage.GENERATOR, Stage.PREDICTOR),
    "--trunk": (Stage.VIVID,),
    "--warm-start": (Stage.CODEC, Stage.PREDICTOR, Stage.VIVID),
    "--no-compile": (Stage.CODEC,),
}
"""Stages that options are for, if they are not for all."""


def _check_taken(stage: Stage, options: dict[str, Any]) -> None:
    """Refuse options that the stage would do nothing with."""
    for name, value in options.items():
        if value is not None and stage not in _TAKEN[name]:
            stages = " and ".join(taking.value for taking in _TAKEN[name])
            raise typer.BadParameter(f"it is for --stage {stages}", param_hint=f"'{name}'")


def _codec(preset: str, out: Path, *, minutes: float | None, **told: Any) -> Path:  # noqa: ANN401
    """Train all of a codec, or what its recipe says; further arguments are those of `run.train`."""
    from dataclasses import replace

    from sbtcodec.training.config import MODELS, PRESETS
    from sbtcodec.training.run import train as run

    if preset not in PRESETS:
        raise typer.BadParameter(f"unknown preset {preset!r}; choose from {', '.join(PRESETS)}")
    config = PRESETS[preset]
    if minutes is not None:
        config = replace(config, minutes=minutes)
    return run(config, MODELS.get(preset, MODELS["base"]), out=out, **told)
