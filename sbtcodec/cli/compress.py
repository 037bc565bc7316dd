"""The command `compress`: image files into `.sbt` files."""

import math
from typing import Annotated

import typer

from sbtcodec.cli.common import values
from sbtcodec.cli.common.arguments import Task, arrange, images_to
from sbtcodec.cli.common.batch import run_batch, run_one
from sbtcodec.cli.common.collection import LOCAL, collection_folder, run_collection
from sbtcodec.cli.common.compression import Compression
from sbtcodec.cli.common.encoding import FileEncoder
from sbtcodec.cli.common.operation import BatchOptions
from sbtcodec.cli.common.options import (
    Device,
    DeviceOption,
    ForceOption,
    JobsOption,
    JsonOption,
    KeepExtensionOption,
    LookHint,
    MaxPixelsOption,
    OutDirOption,
    OutputOption,
    Precision,
    PrecisionOption,
    QuietOption,
    RecursiveOption,
    SkipExistingOption,
    check_choices,
)
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.codec.rate_target import DEFAULT_QUALITY, RateTarget, ScoreTarget
from sbtcodec.limits import DEFAULT_MAX_PIXELS
from sbtcodec.rdo.effort import DEFAULT_EFFORT


def compress(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IN...",
            path_type=str,
            help="Images, folders or patterns; - is stdin.",
        ),
    ],
    output: OutputOption = None,
    out_dir: OutDirOption = None,
    recursive: RecursiveOption = False,
    keep_extension: KeepExtensionOption = False,
    quality: Annotated[
        float | None,
        typer.Option(
            "--quality",
            "-q",
            min=0,
            max=100,
            help="Higher is better and larger.",
            show_default=f"{DEFAULT_QUALITY:g}",
        ),
    ] = None,
    globals_only: Annotated[
        bool, typer.Option("--globals-only", help="Send the global tokens alone: the least bytes.")
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            metavar="BYTES",
            parser=values.size_in_bytes,
            help="The best file of at most so many bytes: 20000, 20kB, 20KiB.",
        ),
    ] = None,
    bpp: Annotated[
        float | None,
        typer.Option("--bpp", metavar="N", help="The best file of at most so many bits a pixel."),
    ] = None,
    target: Annotated[
        ScoreTarget | None,
        typer.Option(
            "--target",
            metavar="METRIC=N",
            parser=values.target,
            help="The smallest file that reaches psnr=N, ms-ssim=N or ssimulacra2=N.",
        ),
    ] = None,
    effort: Annotated[
        int,
        typer.Option(
            "--effort", "-e", min=0, max=9, help="From 4 on, more time for a smaller file."
        ),
    ] = DEFAULT_EFFORT,
    strip: Annotated[
        bool,
        typer.Option("--strip", help="Leave out colour profile (converting), EXIF and XMP data."),
    ] = False,
    keep_invisible: Annotated[
        bool,
        typer.Option("--keep-invisible", help="Keep the colours of what is wholly transparent."),
    ] = False,
    look: Annotated[
        LookHint | None,
        typer.Option(
            "--look",
            help="How it is meant to be seen; decompress does so if not told otherwise.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Decode the result before it is written; tell its PSNR."),
    ] = False,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    jobs: JobsOption = None,
    skip_existing: SkipExistingOption = False,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    engine: Annotated[
        str,
        typer.Option("--engine", metavar="ENGINE", help="local, or ray[:ADDRESS] for collections."),
    ] = LOCAL,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress images into .sbt files.

    With one image, or an image and the file to write, this makes one file; IN.sbt if OUT is not
    given. With --out-dir, a folder, a pattern in quotes or more than two arguments, every argument
    is an input: folders give the images in them, and outputs stand beside their inputs, or below
    DIR in the same subfolders. One file that fails does not stop the others.

    \b
    Examples:
      sbtcodec compress photo.png
      sbtcodec compress photo.png fine.sbt --quality 80
      sbtcodec compress photo.png --size 20kB --effort 6
      sbtcodec compress photo.png --target ssimulacra2=60
      sbtcodec compress - - < photo.png > photo.sbt
      sbtcodec compress photos --recursive --out-dir small --skip-existing
      sbtcodec compress "scans/*.tif" --jobs 2 --json
      sbtcodec compress s3://scans/in --out s3://scans/small --engine ray:auto

    --size, --bpp and --target search for the quality; the networks of the encoder run once. What is
    asked for is never exceeded, and a file that cannot be made is a failure with exit code 11.
    Scores, also that of --verify, are of what is seen: with transparency, the lesser of those over
    black and over white. They are of the faithful look, also of a file with --look vivid.

    A batch ends with exit code 0 if all went well, with that of the failures if they have one in
    common, else with 1. Ctrl-C leaves whole files only; --skip-existing goes on from there.

    With --engine ray, inputs may be URIs of any file system that fsspec knows, folders are taken
    with their subfolders, and --output is a folder, which also gets manifest.parquet: a row for
    each image. A collection that was interrupted is gone on with by the same command. --jobs is the
    number of workers. ray:ADDRESS joins a cluster; pip install 'sbtcodec[ray]' gives the packages.
    """
    if quality is not None and math.isnan(quality):  # which the range lets pass
        raise typer.BadParameter("expected a number from 0 to 100", param_hint="--quality")
    if bpp is not None and not 0 < bpp < math.inf:
        raise typer.BadParameter("expected a positive number", param_hint="--bpp")
    check_choices(
        {
            "--quality": quality is not None,
            "--globals-only": globals_only,
            "--size": size is not None,
            "--bpp": bpp is not None,
            "--target": target is not None,
        }
    )
    check_choices({"--force": force, "--skip-existing": skip_existing})
    rate_target = RateTarget(
        DEFAULT_QUALITY if quality is None else quality,
        globals_only,
        size,
        bpp,
        target,
        effort,
        keep_invisible,
    )
    encoder = FileEncoder(rate_target, verify=verify, look=None if look is None else look.value)
    if engine != LOCAL:
        run_collection(
            paths,
            collection_folder(output, out_dir),
            engine=engine,
            encoder=encoder,
            strip=strip,
            device=device.value,
            precision=precision.value,
            workers=jobs,
            max_pixels=max_pixels,
            force=force,
            skip_existing=skip_existing,
            keep_extension=keep_extension,
            json=json,
            quiet=quiet,
        )
        return
    work = Compression(encoder, strip=strip, max_pixels=max_pixels, force=force)
    tasks = arrange(
        paths,
        output,
        out_dir,
        images_to(".sbt"),
        recursive=recursive,
        keep_extension=keep_extension,
        force=force,
    )
    options = BatchOptions(jobs, force=force, skip_existing=skip_existing, json=json, quiet=quiet)
    codec = SharedCodec(device.value, precision.value)
    if isinstance(tasks, Task):
        run_one(tasks, work, codec, options)
    elif exit_code := run_batch(tasks, work, codec, options):
        raise typer.Exit(exit_code)
