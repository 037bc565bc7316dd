"""The command `complete`: a picture of which a part is lost, or which is to be larger."""

from typing import Annotated

import typer

from sbtcodec.cli.common import values
from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.batch import run_one
from sbtcodec.cli.common.completion import SBT, Completion, Region
from sbtcodec.cli.common.operation import BatchOptions
from sbtcodec.cli.common.options import (
    ClassOption,
    Device,
    DeviceOption,
    ForceOption,
    GuidanceOption,
    JsonOption,
    MaxPixelsOption,
    QuietOption,
    RealismOption,
    StepsOption,
    WeightsOption,
    check_choices,
    check_numbers,
)
from sbtcodec.cli.common.paths import output_place, place
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.codec.rate_target import DEFAULT_QUALITY
from sbtcodec.generation.config import GUIDANCE, STEPS
from sbtcodec.grid import TOKEN_STRIDE, Box
from sbtcodec.limits import DEFAULT_MAX_PIXELS


def complete(
    source: Annotated[
        str,
        typer.Argument(metavar="IN", path_type=str, help="An image or an .sbt file; - is stdin."),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUT", path_type=str, help="The image to write, or an .sbt file; - is stdout."
        ),
    ],
    keep: Annotated[
        Box | None,
        typer.Option(
            "--keep",
            metavar="X,Y,W,H",
            parser=values.crop,
            help="Keep this part alone, in pixels from the top left.",
        ),
    ] = None,
    lose: Annotated[
        list[Box] | None,
        typer.Option(
            "--lose",
            metavar="X,Y,W,H",
            parser=values.crop,
            help="Keep all but this part; may be repeated.",
        ),
    ] = None,
    extend: Annotated[
        values.Margins | None,
        typer.Option(
            "--extend",
            metavar="L,T,R,B",
            parser=values.margins,
            help="Grow the picture by so many pixels at left, top, right and bottom.",
        ),
    ] = None,
    label: ClassOption = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Another seed, another completion.")
    ] = 1,
    guidance: GuidanceOption = GUIDANCE,
    steps: StepsOption = STEPS,
    quality: Annotated[
        float,
        typer.Option(
            "--quality", "-q", min=0, max=100, help="At which an image is compressed first."
        ),
    ] = DEFAULT_QUALITY,
    realism: RealismOption = 0.0,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    device: DeviceOption = Device.AUTO,
    weights: WeightsOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Complete a picture: fill in what is lost of it, or draw what is around it.

    A generator draws the global tokens that are not known, given those that are: the tokens whose
    32 x 32 pixels are kept as a whole. Pixels that are kept stay exactly as they were decoded; an
    image is compressed and decoded first. What is drawn starts without an edge and has no detail
    but what is predicted, or synthesised (--realism). Images say in their XMP data that a part is
    synthesised. An .sbt file as OUT holds the global tokens of the completed picture alone.

    \b
    Examples:
      sbtcodec complete photo.png wide.png --extend 128,0,128,0
      sbtcodec complete photo.sbt without.png --lose 96,64,128,128 --class church
      sbtcodec complete photo.png other.png --keep 0,0,256,128 --seed 7
      sbtcodec complete photo.sbt wide.png --extend 0,64,0,64 --realism 1
    """
    choices = {"--keep": keep is not None, "--lose": bool(lose), "--extend": extend is not None}
    check_choices(choices)
    check_numbers({"--guidance": guidance, "--quality": quality, "--realism": realism})
    if not any(choices.values()):
        raise typer.BadParameter("give one of --keep, --lose and --extend")
    target = output_place(output)
    extension = ".png" if target == "-" else target.suffix.lower() or ".png"
    before = (0, 0) if extend is None else (extend.left, extend.top)
    if extension == SBT and any(side % TOKEN_STRIDE for side in before):
        raise typer.BadParameter(
            f"an .sbt file grows at the left and top by multiples of {TOKEN_STRIDE} pixels, its"
            " tokens; write an image, or give such numbers",
            param_hint="--extend",
        )
    if extension == SBT and realism:
        raise typer.BadParameter(
            "files of tokens have no look; write an image, or leave it out",
            param_hint="--realism",
        )
    region = Region(keep, tuple(lose or ()), extend)
    work = Completion(
        region,
        extension,
        label=label,
        seed=seed,
        guidance=guidance,
        steps=steps,
        quality=quality,
        realism=realism,
        max_pixels=max_pixels,
        device=device.value,
        weights=weights,
        force=force,
    )
    options = BatchOptions(force=force, json=json, quiet=quiet)
    run_one(Task(place(source), target), work, SharedCodec(device.value), options)
