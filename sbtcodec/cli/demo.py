"""The command `demo`: a picture that the project makes itself, at three rates."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sbtcodec.cli.common.options import (
    Device,
    DeviceOption,
    ForceOption,
    Precision,
    PrecisionOption,
)
from sbtcodec.cli.common.report import number
from sbtcodec.errors import OutputError
from sbtcodec.image.files import check_output, write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Name of the file, caption, quality, globals only.
RATES = (
    ("demo-globals.sbt", "globals only", 50.0, True),
    ("demo-q20.sbt", "quality 20", 20.0, False),
    ("demo-q50.sbt", "quality 50", 50.0, False),
)
ORIGINAL = "demo.png"
COMPARISON = "demo-comparison.png"


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="OUT_DIR", help="The folder to write to, made if missing.")
    ] = Path("sbtcodec-demo"),
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    force: ForceOption = False,
) -> None:
    """Compress a made-up picture at three rates.

    The picture is computed, not loaded. It is written to OUT_DIR with a file for each rate and a
    picture that shows them side by side, and a table of sizes and distances is printed. If the
    model has a vivid look, the picture shows that of each, too, and the smallest JPEG file.

    \b
    Examples:
      sbtcodec demo
      sbtcodec demo pictures --force
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    for name in (ORIGINAL, COMPARISON, *(rate[0] for rate in RATES)):
        check_output(folder / name, force=force)
    from sbtcodec.codec.codec import Codec
    from sbtcodec.image.comparison import side_by_side
    from sbtcodec.image.demo_picture import demo_picture
    from sbtcodec.image.picture import Picture
    from sbtcodec.image.provenance import with_synthesised_detail
    from sbtcodec.image.saving import save_image

    codec = Codec.load(device.value, precision=precision.value)
    rgb = demo_picture()
    save_image(rgb, folder / ORIGINAL, force=force)
    panels = [(rgb, f"original: {number(rgb.size)} bytes of pixels")]
    vivid = codec.has_look()
    if vivid:
        panels.append(_smallest_jpeg(rgb))
    print(f"{'':16}  {'bytes':>8}  {'bpp':>6}  {'PSNR':>8}")
    for name, caption, quality, globals_only in RATES:
        data = codec.compress(rgb, quality, globals_only=globals_only)
        write_atomically(folder / name, data, force=force)
        decoded = codec.decode(data).rgb
        size, bpp, psnr = _measured(rgb, data, decoded)
        print(f"{name:16}  {size:>8}  {bpp:>6}  {psnr:>5} dB")
        panels.append((decoded, f"{caption}: {size} bytes, {bpp} bpp, {psnr} dB"))
        if vivid:
            panels.append((codec.decode(data, realism=1).rgb, f"{caption}: vivid look"))
    sheet = Picture(side_by_side(panels))
    if vivid:
        sheet = with_synthesised_detail(sheet, 1)
    save_image(sheet, folder / COMPARISON, force=force)
    print(f"\nOpen {folder / COMPARISON} to compare.")


def _smallest_jpeg(rgb: "NDArray[np.uint8]") -> "tuple[NDArray[np.uint8], str]":
    """What JPEG makes of the picture at its lowest quality, with a caption."""
    from sbtcodec.evaluation.codecs import load_codec

    jpeg = load_codec("jpeg")
    data = jpeg.encode(rgb, 1)
    decoded = jpeg.decode(data)
    size, bpp, psnr = _measured(rgb, data, decoded)
    return decoded, f"JPEG, its smallest: {size} bytes, {bpp} bpp, {psnr} dB"


def _measured(
    rgb: "NDArray[np.uint8]", data: bytes, decoded: "NDArray[np.uint8]"
) -> tuple[str, str, str]:
    """Bytes, bits a pixel and PSNR of a file, as they are printed."""
    from sbtcodec.evaluation.metrics import psnr

    bpp = 8 * len(data) / (rgb.shape[0] * rgb.shape[1])
    return number(len(data)), f"{bpp:.3f}", f"{psnr(rgb, decoded):.2f}"
