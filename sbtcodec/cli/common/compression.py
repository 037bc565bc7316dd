"""What `compress` does with each image."""

import time
from dataclasses import dataclass
from pathlib import Path

from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.making import Making
from sbtcodec.cli.common.paths import check_place, image_input, naming, write_place
from sbtcodec.cli.common.report import number
from sbtcodec.cli.common.work import Result
from sbtcodec.cli.common.workshop import Workshop


def size_notices(before: int, after: int) -> tuple[str, ...]:
    """What is to be said where a file is larger than its image, of so many bytes."""
    if not 0 < before < after:
        return ()
    return (f"the .sbt file is larger than the image: {number(after)} to {number(before)} bytes",)


@dataclass(frozen=True)
class Compression:
    """What is done with each image."""

    making: Making
    strip: bool
    max_pixels: int
    force: bool

    def __call__(self, task: Task, workshop: Workshop) -> Result:
        """Compress one image; see `Work`."""
        source, output = task.source, task.output
        assert output is not None
        check_place(source, output, force=self.force)
        from sbtcodec.image.pixels import load_image

        found = image_input(source)
        if isinstance(found, Path):
            picture = load_image(found, max_pixels=self.max_pixels, strip=self.strip)
            before = found.stat().st_size
        else:
            before = len(found)
            with naming(source):
                picture = load_image(found, max_pixels=self.max_pixels, strip=self.strip)
        codec = workshop.codec()
        start = time.perf_counter()
        with naming(source):
            made = self.making(codec, picture)
        data = made.data
        seconds = time.perf_counter() - start
        with workshop.writing():
            write_place(output, data, force=self.force)

        height, width = picture.rgb.shape[:2]
        bpp = 8 * len(data) / (width * height)
        notices = (*picture.notices, *size_notices(before, len(data)))
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
            "notices": notices,
        } | made.fields
        line = (
            f"{output}  {number(len(data))} bytes  {bpp:.3f} bpp"
            f"  of {number(before)} ({before / len(data):.0f}:1)  {seconds:.2f} s"
            f"{made.note}"
        )
        return Result(line, fields, before, len(data), len(data), width * height, notices)
