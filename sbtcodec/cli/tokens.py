"""The command `tokens`: the integers of an `.sbt` file as NumPy arrays, and back to a picture."""

from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.options import (
    Device,
    DeviceOption,
    ForceOption,
    JsonOption,
    MaxPixelsOption,
    QuietOption,
)
from sbtcodec.cli.paths import default_output, naming, place, place_name, read_sbt
from sbtcodec.cli.report import print_json
from sbtcodec.container import DEFAULT_MAX_PIXELS, check_pixels, unpack
from sbtcodec.image.files import check_output, check_separate


def tokens(
    file: Annotated[
        str, typer.Argument(metavar="FILE.sbt", path_type=str, help="The file; - is stdin.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The .npz to write.", show_default="FILE.npz"),
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
    sbtcodec.tokens.Tokens.load reads it and Codec.detokenize makes a picture of it.

    \b
    Examples:
      sbtcodec tokens photo.sbt --out photo.npz
    """
    source = place(file)
    data = read_sbt(source)
    with naming(source):
        check_pixels(unpack(data).header, max_pixels)
    if output is None:
        output = Path("tokens.npz") if source == "-" else default_output(source, ".npz")
    if source != "-":
        check_separate(source, output)
    check_output(output, force=force)
    from sbtcodec.codec import Codec

    with naming(source):
        found = Codec.load(device.value).tokens_of(data, max_pixels=max_pixels)
    found.save(output, force=force)
    if json:
        print_json(
            {
                "input": place_name(source),
                "output": output,
                "levels": found.levels.shape,
                "symbols": found.symbols.shape,
                "detail_layers": found.detail_layers,
                "quality_code": found.quality,
                "model": found.model,
            }
        )
    elif not quiet:
        print(f"{output}  levels {found.levels.shape}  symbols {found.symbols.shape}")
