"""The command `verify`: whether `.sbt` files decode, and how close to the originals."""

import glob
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sbtcodec.cli.common.arguments import Task, expand, sbt_files_to
from sbtcodec.cli.common.batch import run_batch
from sbtcodec.cli.common.operation import BatchOptions, Result
from sbtcodec.cli.common.options import (
    Device,
    DeviceOption,
    JobsOption,
    JsonOption,
    MaxPixelsOption,
    Precision,
    PrecisionOption,
    QuietOption,
    RecursiveOption,
)
from sbtcodec.cli.common.paths import image_input, naming, place, place_name, read_checked
from sbtcodec.cli.common.report import number
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.errors import ImageError, InvalidFileError, QualityError
from sbtcodec.image.listing import image_suffixes
from sbtcodec.limits import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from sbtcodec.image.picture import Picture


def verify(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE.sbt...", path_type=str, help="Files, folders or patterns; - is stdin."
        ),
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="ORIGINAL",
            help="The original image; for several files, the folder with their originals.",
        ),
    ] = None,
    min_psnr: Annotated[
        float | None,
        typer.Option(
            "--min-psnr", min=0, max=100, metavar="DB", help="The least PSNR to the original."
        ),
    ] = None,
    recursive: RecursiveOption = False,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    jobs: JobsOption = None,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check that .sbt files are whole, by decoding them.

    Nothing is written. Every layer carries a check over its symbols, which is compared. A file that
    was cut fails, also where decompress would make a picture of what is left. With --against, each
    picture is compared to its original: to the image named, or to the one in the folder named that
    stands there as the file does in its own folder, whatever its format. Of pictures with
    transparency, the PSNR is the lesser of those over black and over white. It is measured in
    float32, unless another precision is asked for.

    \b
    Examples:
      sbtcodec verify photo.sbt
      sbtcodec verify photo.sbt --against photo.png --min-psnr 30
      sbtcodec verify small --recursive --against photos --json

    \b
    Exit codes:
       0  all are whole
       3  at least one is damaged, cut or missing
      10  a picture differs from its original more than allowed
    """
    if min_psnr is not None and (against is None or math.isnan(min_psnr)):
        raise typer.BadParameter(
            "expected a number from 0 to 100, and --against", param_hint="--min-psnr"
        )
    kind = sbt_files_to("")
    if len(paths) == 1 and place(paths[0]) == "-":
        tasks = [Task("-", None)]
    elif "-" in paths:
        raise typer.BadParameter("- is one file; it cannot be part of a batch")
    else:
        tasks = expand(paths, kind, recursive=recursive)
    originals = None if against is None else _Originals(against, one_file=len(tasks) == 1)
    work = _Verification(originals, min_psnr, max_pixels)
    options = BatchOptions(
        jobs,
        json=json,
        quiet=quiet,
        failures_as_lines=True,
        leading_exit_code=InvalidFileError.exit_code,
    )
    if against is not None and precision == Precision.AUTO:
        precision = Precision.FLOAT32  # so that a PSNR does not depend on the machine
    codec = SharedCodec(device.value, precision.value, encoder=False)
    if exit_code := run_batch(tasks, work, codec, options):
        raise typer.Exit(exit_code)


class _Originals:
    """The images that decoded pictures are compared to."""

    def __init__(self, path: Path, *, one_file: bool) -> None:
        """Use one image, or those in a folder.

        Raises `ImageError` if there is neither, or one image for several files.
        """
        if not path.exists():
            raise ImageError(f"{path} does not exist; check --against")
        if not path.is_dir() and not one_file:
            raise ImageError(
                f"{path} is one image, and there are several files; name the folder of their"
                " originals"
            )
        self._path = path

    def find(self, task: Task) -> Path:
        """Return the original of a file.

        Raises `ImageError` if there is none, or more than one.
        """
        if not self._path.is_dir():
            return self._path
        if task.below is None:
            raise ImageError("standard input has no name; give --against an image")
        folder, stem = self._path / task.below.parent, task.below.stem
        suffixes = image_suffixes()
        found = sorted(
            path
            for path in (folder.iterdir() if folder.is_dir() else ())
            if path.stem == stem and path.suffix.lower() in suffixes
        )
        # photo.jpg.sbt was made with --keep-extension
        found = found or sorted(folder.glob(glob.escape(stem)))
        if len(found) != 1:
            names = " and ".join(path.name for path in found) or "no image of that name"
            raise ImageError(
                f"{task.source} needs one original {stem}.* in {folder}, found {names}"
            )
        return found[0]


@dataclass(frozen=True)
class _Verification:
    """What is done with each file."""

    originals: _Originals | None
    min_psnr: float | None
    max_pixels: int

    def __call__(self, task: Task, shared: SharedCodec) -> Result:
        """Decode one file; see `Operation`."""
        source = task.source
        name = place_name(source)
        data, header = read_checked(source, self.max_pixels)
        original = None if self.originals is None else self.originals.find(task)
        codec = shared.codec()
        start = time.perf_counter()
        with naming(source):
            decoded = codec.decode(data, realism=0, max_pixels=self.max_pixels)
            if decoded.notice is not None:
                raise InvalidFileError(f"the file is not whole: {decoded.notice}")
        seconds = time.perf_counter() - start
        pixels = header.width * header.height
        fields: dict[str, Any] = {
            "input": source,
            "bytes": len(data),
            "bpp": round(8 * len(data) / pixels, 6),
            "width": header.width,
            "height": header.height,
            "layers": decoded.layers,
            "seconds": round(seconds, 3),
        }
        line = (
            f"OK  {name}  {number(len(data))} bytes  {header.width} x {header.height} pixels"
            f"  {decoded.layers} of {decoded.declared_layers} detail layers"
        )
        if original is not None:
            value = self._compared(decoded.picture, original, name)
            fields |= {"original": original, "psnr": _finite(value)}
            line += f"  PSNR {value:.2f} dB"
        return Result(line, fields, len(data), 0, len(data), pixels)

    def _compared(self, picture: "Picture", original: Path, name: str) -> float:
        """Return the PSNR in dB to the original, of what is seen.

        Raises `QualityError` if it is too low, or the sizes differ.
        """
        from sbtcodec.evaluation.metrics import psnr
        from sbtcodec.image.pixels import load_image
        from sbtcodec.image.transparency import score_of_seen

        expected = load_image(image_input(original), max_pixels=self.max_pixels)
        (height, width), (rows, columns) = picture.rgb.shape[:2], expected.rgb.shape[:2]
        if (height, width) != (rows, columns):
            raise QualityError(
                f"{name} has {width} x {height} pixels, {original} has"
                f" {columns} x {rows}; it is not the original"
            )
        value = score_of_seen(psnr, expected, picture)
        if self.min_psnr is not None and value < self.min_psnr:
            raise QualityError(
                f"{name} has a PSNR of {value:.2f} dB to {original}, expected at least"
                f" {self.min_psnr:g}; compress it again with a higher quality"
            )
        return value


def _finite(value: float) -> float | None:
    """JSON has no infinity, which is the PSNR of identical pictures."""
    return round(value, 4) if math.isfinite(value) else None
