"""The command `decompress`: `.sbt` files into image files."""

from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.common import values
from sbtcodec.cli.common.arguments import Task, arrange, sbt_files_to
from sbtcodec.cli.common.batch import run_batch, run_one
from sbtcodec.cli.common.decoding import Decompression
from sbtcodec.cli.common.operation import BatchOptions
from sbtcodec.cli.common.options import (
    Device,
    DeviceOption,
    ForceOption,
    ImageFormat,
    JobsOption,
    JsonOption,
    MaxPixelsOption,
    MeantRealismOption,
    OutDirOption,
    OutputOption,
    Precision,
    PrecisionOption,
    QuietOption,
    RecursiveOption,
    SkipExistingOption,
    check_choices,
    check_numbers,
)
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.grid import Box
from sbtcodec.limits import DEFAULT_MAX_PIXELS


def decompress(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE.sbt...",
            path_type=str,
            help="Files, folders or patterns; - is stdin.",
        ),
    ],
    output: OutputOption = None,
    out_dir: OutDirOption = None,
    recursive: RecursiveOption = False,
    image_format: Annotated[
        ImageFormat | None,
        typer.Option(
            "--format",
            help="What to write where no name tells.",
            show_default="png",
        ),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option("--layers", min=0, help="Use N detail layers; 0 is the global tokens alone."),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Decode what is whole of a file that was cut.")
    ] = False,
    conceal: Annotated[
        bool,
        typer.Option(
            "--conceal",
            help="Make up damaged tiles of 1024 x 1024 pixels: details are predicted, and the rest"
            " synthesised by the generator.",
        ),
    ] = False,
    crop: Annotated[
        Box | None,
        typer.Option(
            "--crop",
            metavar="X,Y,W,H",
            parser=values.crop,
            help="Decode this part alone, in pixels from the top left.",
        ),
    ] = None,
    scale: Annotated[
        int,
        typer.Option(
            "--scale",
            metavar="1/N",
            parser=values.scale,
            help="Reduce the picture: 1/2, 1/4 or 1/8.",
            show_default=False,
        ),
    ] = 1,
    realism: MeantRealismOption = None,
    strip: Annotated[
        bool,
        typer.Option(
            "--strip", help="Write no EXIF or XMP data and no profile; convert colours to sRGB."
        ),
    ] = False,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    jobs: JobsOption = None,
    skip_existing: SkipExistingOption = False,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Decode .sbt files into images.

    With one file, or a file and the image to write, this makes one image, in the format of its
    extension; a PNG beside the file if OUT is not given. With --out-dir, a folder, a pattern in
    quotes or more than two arguments, every argument is an input: folders give the .sbt files in
    them, and images stand beside their files, or below DIR in the same subfolders. One file that
    fails does not stop the others. All formats but jpg are written without loss.

    With --realism, the picture looks more like a photograph, by detail that is not in the file: XMP
    data in the image says so. Take 0 for evidence, for measuring and for reading text. Without it,
    a file that was made with --look vivid is shown vividly, and any other faithfully.

    \b
    Examples:
      sbtcodec decompress photo.sbt
      sbtcodec decompress photo.sbt rough.webp --layers 1
      sbtcodec decompress - - --format ppm < photo.sbt > photo.ppm
      sbtcodec decompress small --recursive --out-dir photos --format webp
      sbtcodec decompress map.sbt part.png --crop 4000,2500,800,600
      sbtcodec decompress map.sbt thumbnail.png --scale 1/8
      sbtcodec decompress cut.sbt --allow-partial
      sbtcodec decompress damaged-map.sbt --conceal
      sbtcodec decompress photo.sbt vivid.png --realism 1

    A batch ends with exit code 0 if all went well, with that of the failures if they have one in
    common, else with 1. Ctrl-C leaves whole files only; --skip-existing goes on from there.
    """
    check_choices({"--force": force, "--skip-existing": skip_existing})
    check_numbers({"--realism": 0.0 if realism is None else realism})
    extension = f".{(image_format or ImageFormat.PNG).value}"
    tasks = arrange(paths, output, out_dir, sbt_files_to(extension), recursive=recursive)
    if isinstance(tasks, Task) and image_format is not None and isinstance(tasks.output, Path):
        _check_agreement(tasks.output, extension)
    concealment = None
    if conceal:
        from sbtcodec.generation.concealment import Concealment

        concealment = Concealment(device.value)
    work = Decompression(
        layers,
        extension,
        crop,
        scale,
        allow_partial=allow_partial or conceal,
        concealment=concealment,
        realism=realism,
        strip=strip,
        max_pixels=max_pixels,
        force=force,
    )
    options = BatchOptions(jobs, force=force, skip_existing=skip_existing, json=json, quiet=quiet)
    codec = SharedCodec(device.value, precision.value, encoder=False)
    if isinstance(tasks, Task):
        run_one(tasks, work, codec, options)
    elif exit_code := run_batch(tasks, work, codec, options):
        raise typer.Exit(exit_code)


def _check_agreement(output: Path, extension: str) -> None:
    from sbtcodec.image.saving import WRITABLE

    if output.suffix and WRITABLE.get(output.suffix.lower()) != WRITABLE[extension]:
        raise typer.BadParameter(
            f"it says {extension[1:]}, and the output is {output}; leave one of them out",
            param_hint="--format",
        )
