"""What `compress` does with each image."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.encoding import FileEncoder
from sbtcodec.cli.common.operation import Result
from sbtcodec.cli.common.paths import check_place, image_input, naming, write_place
from sbtcodec.cli.common.report import number
from sbtcodec.cli.common.shared_codec import SharedCodec


def size_notices(before: int, after: int) -> tuple[str, ...]:
    """What is to be said where a file is larger than its image, of so many bytes."""
    if not 0 < before < after:
        return ()
    return (f"the .sbt file is larger than the image: {number(after)} to {number(before)} bytes",)


@dataclass(frozen=True)
class Compression:
    """What is done with each image."""

    encoder: FileEncoder
    strip: bool
    max_pixels: int
    force: bool

    def __call__(self, task: Task, shared: SharedCodec) -> Result:
        """Compress one image; see `Operation`."""
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
        picture = replace(picture, passing=True)
        height, width = picture.rgb.shape[:2]
        codec = shared.encoder_for(self.encoder.rate_target.effort, width * height)
        start = time.perf_counter()
        with naming(source):
            encoded = self.encoder(codec, picture)
        data = encoded.data
        seconds = time.perf_counter() - start
        with shared.writing():
            write_place(output, data, force=self.force)

        bpp = 8 * len(data) / (width * height)
        notices = (*picture.notices, *size_notices(before, len(data)))
        fields = {
            "input": source,
            "output": output,
            "bytes": len(data),
            "bpp": round(bpp, 6),
            "width": width,
            "height": height,
            "quality": encoded.quality,
            "globals_only": encoded.quality is None,
            "seconds": round(seconds, 3),
            "notices": notices,
        } | encoded.fields
        line = (
            f"{output}  {number(len(data))} bytes  {bpp:.3f} bpp"
            f"  of {number(before)} ({before / len(data):.0f}:1)  {seconds:.2f} s"
            f"{encoded.note}"
        )
        return Result(line, fields, before, len(data), len(data), width * height, notices)
