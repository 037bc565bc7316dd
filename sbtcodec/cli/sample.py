"""The command `sample`: pictures that the generator makes, as files of global tokens."""

import time
from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.common import values
from sbtcodec.cli.common.failures import INTERRUPTED_EXIT_CODE
from sbtcodec.cli.common.options import (
    ClassOption,
    Device,
    DeviceOption,
    ForceOption,
    GuidanceOption,
    JsonOption,
    QuietOption,
    RealismOption,
    SkipExistingOption,
    StepsOption,
    WeightsOption,
    check_choices,
    check_numbers,
)
from sbtcodec.cli.common.report import Screen, number, to_json
from sbtcodec.cli.common.sampling import Sampling
from sbtcodec.cli.common.summary import Summary
from sbtcodec.errors import OutputError
from sbtcodec.generation.config import GUIDANCE, SHEET, STEPS


def sample(
    folder: Annotated[
        Path, typer.Argument(metavar="OUT_DIR", help="The folder to write to, made if missing.")
    ],
    label: ClassOption = None,
    count: Annotated[int, typer.Option("--n", "-n", min=1, metavar="N", help="How many.")] = 16,
    size: Annotated[
        values.Sides,
        typer.Option(
            "--size", metavar="WxH", parser=values.sides, help="Of each picture, in pixels."
        ),
    ] = "256x256",  # type: ignore[assignment]
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="The same seed, the same pictures.")
    ] = 1,
    first: Annotated[
        int,
        typer.Option("--first", min=0, metavar="N", help="Number of the first one of the seed's."),
    ] = 0,
    guidance: GuidanceOption = GUIDANCE,
    steps: StepsOption = STEPS,
    png: Annotated[
        bool, typer.Option("--png/--no-png", help="Also write what each decodes to.")
    ] = True,
    sheet: Annotated[
        bool, typer.Option("--sheet/--no-sheet", help=f"Write {SHEET}, with all of them.")
    ] = True,
    realism: RealismOption = 0.0,
    strip: Annotated[
        bool, typer.Option("--strip", help="Do not say in PNG files that they are synthesised.")
    ] = False,
    skip_existing: SkipExistingOption = False,
    device: DeviceOption = Device.AUTO,
    weights: WeightsOption = None,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make pictures from nothing.

    A generator draws global tokens, one for 32 x 32 pixels. They are written as .sbt files such as
    church-1-0003.sbt, of the class, the seed and the picture's number, with a PNG beside each. PNG
    files say in their XMP data that they are synthesised. The same seed gives the same pictures,
    each by its number; two kinds of machines may differ in a few, where a rounding decides.

    \b
    Examples:
      sbtcodec sample pictures
      sbtcodec sample pictures --class church --n 4 --seed 7
      sbtcodec sample pictures --class tench --size 512x384 --guidance 3
      sbtcodec sample pictures --class church --realism 1
      sbtcodec sample many --n 1000 --no-png --skip-existing

    Ctrl-C leaves whole files only; --skip-existing goes on from there, and pictures that are there
    keep the look that they have. `sbtcodec models` lists the
    classes.
    """
    check_choices({"--force": force, "--skip-existing": skip_existing})
    check_numbers({"--guidance": guidance, "--realism": realism})
    if realism and not (png or sheet):
        raise typer.BadParameter(
            "files of tokens have no look; write pictures, or leave it out",
            param_hint="--realism",
        )
    work = Sampling(
        folder,
        label,
        (size.width, size.height),
        seed,
        count,
        png,
        sheet,
        realism,
        strip,
        force,
        skip_existing,
    )
    numbers = range(first, first + count)
    if folder.is_dir():
        work.check(numbers)
    from sbtcodec.codec.codec import Codec
    from sbtcodec.generation.generator import GROUP, Generator

    generator = Generator.load(device.value, weights=weights)
    generator.label_of(label)  # a class that is not there is told before the codec is loaded
    codec = Codec.load(device.value, model=generator.number, encoder=False, weights=weights)
    codec.engine_of(generator.number, realism)  # nothing is written if it has no such look
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    work.check(numbers)
    summary, start = Summary(), time.perf_counter()
    with Screen(count, count) as screen:
        try:
            for at in range(first, first + count, GROUP):
                group = range(at, min(at + GROUP, first + count))
                for one in work.files(group, generator, codec, guidance, steps):
                    told = one.fields(label, seed)
                    if one.written:
                        summary.add(0, one.bytes, one.bytes, one.pixels)
                    else:
                        summary.skipped += 1
                    if json:
                        state = "done" if one.written else "skipped"
                        screen.out(to_json(told | {"state": state}))
                    elif not quiet:
                        screen.out(one.line)
                    screen.advance(1, one.pixels)
            work.write_sheet()
        except KeyboardInterrupt:
            summary.interrupted = True
    summary.seconds = time.perf_counter() - start
    if json:
        screen.out(to_json({"summary": summary.fields()}))
    elif not quiet:
        screen.out(
            f"{summary.done} done, {summary.skipped} skipped  {number(summary.after)} bytes"
            f"  {summary.seconds:.2f} s"
        )
    if summary.interrupted:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)
