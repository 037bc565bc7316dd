"""Options and arguments that several commands share."""

import math
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from sbtcodec.generation.config import MAX_GUIDANCE, MAX_STEPS


class Device(StrEnum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """What the float networks count in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class ImageFormat(StrEnum):
    """What decoded images can be written as; also the extension of the file."""

    PNG = "png"
    WEBP = "webp"
    TIF = "tif"
    BMP = "bmp"
    PPM = "ppm"
    JPG = "jpg"


DeviceOption: TypeAlias = Annotated[
    Device, typer.Option("--device", help="Where to run; auto takes a GPU if there is one.")
]
PrecisionOption: TypeAlias = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="Of the networks; auto is bfloat16 on CPUs made for it and torch.",
    ),
]
ForceOption: TypeAlias = Annotated[
    bool, typer.Option("--force", "-f", help="Replace the output if it exists.")
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of text, an object a line.")
]
QuietOption: TypeAlias = Annotated[
    bool, typer.Option("--quiet", help="Print nothing but warnings and errors.")
]
OutputOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--output",
        "--out",
        "-o",
        metavar="OUT",
        path_type=str,
        help="The file to write, or its folder.",
    ),
]
OutDirOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out-dir", "-d", metavar="DIR", help="Write all outputs below DIR, made if missing."
    ),
]
KeepExtensionOption: TypeAlias = Annotated[
    bool,
    typer.Option("--keep-extension", help="Write photo.jpg.sbt, not photo.sbt."),
]
RecursiveOption: TypeAlias = Annotated[
    bool, typer.Option("--recursive", "-r", help="Also take what is in subfolders.")
]
SkipExistingOption: TypeAlias = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave out files whose output exists: resumes a batch."),
]
JobsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, metavar="N", help="Files at a time.", show_default="cores, at most 4"
    ),
]
MaxPixelsOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--max-pixels", min=1, metavar="N", help="Refuse images of more pixels, before decoding."
    ),
]
ClassOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--class", metavar="NAME", help="What it is to show; see `models`.", show_default="anything"
    ),
]
GuidanceOption: TypeAlias = Annotated[
    float,
    typer.Option(
        "--guidance",
        min=0,
        max=MAX_GUIDANCE,
        metavar="N",
        help="How much more it is to look like its class; less variety.",
    ),
]
StepsOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--steps", min=1, max=MAX_STEPS, metavar="N", help="Rounds of drawing for 8x8 tokens."
    ),
]


class LookHint(StrEnum):
    """How a picture is meant to be seen."""

    FAITHFUL = "faithful"
    VIVID = "vivid"


_realism = partial(
    typer.Option,
    "--realism",
    min=0,
    max=1,
    metavar="0..1",
    help="Share of the vivid look, if the model has one: detail is synthesised.",
)
MeantRealismOption: TypeAlias = Annotated[
    float | None, _realism(show_default="as the file is meant; 0, faithful, if it does not say")
]
RealismOption: TypeAlias = Annotated[float, _realism(show_default="0, faithful")]
WeightsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="DIR",
        help="A folder of models, instead of the installed one.",
        show_default=False,
    ),
]


def check_choices(given: dict[str, bool]) -> None:
    """Fail if more than one of options that exclude each other is given.

    Raises `typer.BadParameter`.
    """
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise typer.BadParameter(f"{' and '.join(names)} exclude each other; give one of them")


def check_numbers(given: dict[str, float]) -> None:
    """Fail if the number of an option is none: ranges let nan pass.

    Raises `typer.BadParameter`.
    """
    for name, value in given.items():
        if math.isnan(value):
            raise typer.BadParameter("expected a number", param_hint=name)
