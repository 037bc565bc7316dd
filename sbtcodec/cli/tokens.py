"""The command `tokens`: the integers of an `.sbt` file as NumPy arrays, and back to a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.batch import run_one
from sbtcodec.cli.common.operation import BatchOptions, Result
from sbtcodec.cli.common.options import (
    Device,
    DeviceOption,
    ForceOption,
    JsonOption,
    MaxPixelsOption,
    QuietOption,
)
from sbtcodec.cli.common.outputs import named_output
from sbtcodec.cli.common.paths import (
    Place,
    check_place,
    default_output,
    naming,
    place,
    place_name,
    read_checked,
    write_place,
)
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.limits import DEFAULT_MAX_PIXELS


def tokens(
    file: Annotated[
        str, typer.Argument(metavar="FILE.sbt", path_type=str, help="The file; - is stdin.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="OUT",
            path_type=str,
            help="The .npz to write, its folder, or -: stdout.",
            show_default="FILE.npz",
        ),
    ] = None,
    max_pixels: MaxPixelsOption = DEFAULT_MAX_PIXELS,
    device: DeviceOption = Device.AUTO,
    force: ForceOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the tokens of an .sbt file as NumPy arrays.

    The .npz holds `levels`, uint8 [h, w, dims]: the level of each dimension of the global tokens,
    one token for 32 x 32 pixels; `symbols`, int16 [2h, 2w, channels]: residuals of the local tokens
    to their prediction, in steps; and `about`, a JSON text of the other facts. In Python,
    sbtcodec.Tokens.load reads it and Codec.detokenize makes a picture of it, in either look.

    \b
    Examples:
      sbtcodec tokens photo.sbt --out photo.npz
    """
    source = place(file)
    target: Place
    if output is not None:
        target = named_output(output, source, ".npz")
    else:
        target = Path("tokens.npz") if source == "-" else default_output(source, ".npz")
    work = _Tokens(max_pixels, force=force)
    options = BatchOptions(force=force, json=json, quiet=quiet)
    run_one(Task(source, target), work, SharedCodec(device.value, encoder=False), options)


@dataclass(frozen=True)
class _Tokens:
    """What is done with the file."""

    max_pixels: int
    force: bool

    def __call__(self, task: Task, shared: SharedCodec) -> Result:
        """Write the tokens of one file; see `Operation`."""
        source, output = task.source, task.output
        assert output is not None
        data, header = read_checked(source, self.max_pixels)
        check_place(source, output, force=self.force)
        codec = shared.codec()
        with naming(source):
            found = codec.tokens_of(data, max_pixels=self.max_pixels)
        content = found.to_bytes()
        with shared.writing():
            write_place(output, content, force=self.force)
        fields = {
            "input": place_name(source),
            "output": output,
            "levels": found.levels.shape,
            "symbols": found.symbols.shape,
            "detail_layers": found.detail_layers,
            "quality_code": found.quality,
            "model": found.model,
        }
        line = f"{output}  levels {found.levels.shape}  symbols {found.symbols.shape}"
        pixels = header.width * header.height
        return Result(line, fields, len(data), len(content), len(data), pixels)
