"""What `compress` does with each image."""

import io
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sbtcodec.cli.aim import Aim
from sbtcodec.cli.arguments import Task
from sbtcodec.cli.paths import check_place, naming, place_name, read_image_bytes, write_place
from sbtcodec.cli.report import number
from sbtcodec.cli.work import Result
from sbtcodec.cli.workshop import Workshop
from sbtcodec.errors import InvalidFileError, SbtError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sbtcodec.codec import Codec


@dataclass(frozen=True)
class Compression:
    """What is done with each image."""

    aim: Aim
    strip: bool
    verify: bool
    max_pixels: int
    force: bool

    def __call__(self, task: Task, workshop: Workshop) -> Result:
        """Compress one image; see `Work`."""
        source, output = task.source, task.output
        assert output is not None
        check_place(source, output, force=self.force)
        from sbtcodec.image.pixels import load_image

        if isinstance(source, Path):
            picture = load_image(source, max_pixels=self.max_pixels, strip=self.strip)
            before = source.stat().st_size
        else:
            content = read_image_bytes()
            before = len(content)
            with naming(source):
                picture = load_image(
                    io.BytesIO(content), max_pixels=self.max_pixels, strip=self.strip
                )
        codec = workshop.codec()
        start = time.perf_counter()
        with naming(source):
            made = self.aim.make(codec, picture)
        data = made.data
        seconds = time.perf_counter() - start
        psnr = _verified(codec, data, picture.rgb, place_name(source)) if self.verify else None
        with workshop.writing():
            write_place(output, data, force=self.force)

        height, width = picture.rgb.shape[:2]
        bpp = 8 * len(data) / (width * height)
        fields = {
            "input": source,
            "output": output,
            "bytes": len(data),
            "bpp": round(bpp, 6),
            "width": width,
            "height": height,
            "quality": made.quality,
            "globals_only": made.quality is None,
            "seconds": round(seconds, 3),
            "notices": picture.notices,
        } | made.fields
        line = (
            f"{output}  {number(len(data))} bytes  {bpp:.3f} bpp"
            f"  of {number(before)} ({before / len(data):.0f}:1)  {seconds:.2f} s"
            f"{made.note}"
        )
        if psnr is not None:
            fields["psnr"] = round(psnr, 4) if math.isfinite(psnr) else None
            line += f"  verified, PSNR {psnr:.2f} dB"
        return Result(
            line, fields, before, len(data), len(data), width * height, tuple(picture.notices)
        )


def _verified(codec: "Codec", data: bytes, rgb: "NDArray[np.uint8]", name: str) -> float:
    """Decode fresh bytes, and return the PSNR in dB.

    Raises `InvalidFileError` if they do not give a whole picture of the size of the original.
    """
    from sbtcodec.evaluation.metrics import psnr

    try:
        decoded = codec.decode(data)
    except SbtError as error:
        reason = str(error)
    else:
        if decoded.notice is None and decoded.rgb.shape == rgb.shape:
            return psnr(rgb, decoded.rgb)
        reason = decoded.notice or f"it decodes to {list(decoded.rgb.shape)}"
    raise InvalidFileError(
        f"{name}: the result failed its verification, nothing was written ({reason});"
        " this machine or this installation is broken"
    )
