"""What `complete` does with its picture."""

import time
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.completed_image import encoded
from sbtcodec.cli.common.operation import Result
from sbtcodec.cli.common.paths import (
    Place,
    check_place,
    image_input,
    naming,
    read_sbt,
    write_place,
)
from sbtcodec.cli.common.report import number
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.cli.common.values import Margins
from sbtcodec.container import check_pixels, is_sbt, unpack
from sbtcodec.errors import ImageError
from sbtcodec.grid import Box

if TYPE_CHECKING:
    from sbtcodec.codec.decoder import Decoded
    from sbtcodec.codec.tokens import Tokens
    from sbtcodec.generation.completion import Canvas
    from sbtcodec.image.picture import Picture

SBT = ".sbt"
ALONE = (
    "the file holds the global tokens of the completed picture alone: what was kept has no"
    " details, transparency or metadata there"
)


@dataclass(frozen=True)
class Region:
    """What is kept."""

    keep: Box | None
    lose: tuple[Box, ...]
    extend: Margins | None

    def check(self, width: int, height: int, max_pixels: int) -> None:
        """Fail before long work if it does not fit a picture of this size."""
        for option, box in [("--keep", self.keep), *(("--lose", box) for box in self.lose)]:
            if box is not None and (box.right > width or box.bottom > height):
                raise typer.BadParameter(
                    f"the part of {box.width} x {box.height} pixels at {box.left},{box.top} leaves"
                    f" the picture of {width} x {height}",
                    param_hint=option,
                )
        if self.extend is not None:
            margins = self.extend
            size = width + margins.left + margins.right, height + margins.top + margins.bottom
            if size[0] * size[1] > max_pixels:
                raise ImageError(
                    f"the extended picture would have {size[0]} x {size[1]} pixels, expected at"
                    f" most {max_pixels} in all; raise max_pixels"
                )

    def canvas(self, decoded: "Decoded", tokens: "Tokens") -> "Canvas":
        """The canvas to complete."""
        import numpy as np

        from sbtcodec.generation.completion import canvas_of, extended

        if self.extend is not None:
            return extended(decoded.rgb, tokens, astuple(self.extend))
        kept = np.full(decoded.rgb.shape[:2], self.keep is None)
        if self.keep is not None:
            kept[self.keep.rows, self.keep.columns] = True
        for box in self.lose:
            kept[box.rows, box.columns] = False
        return canvas_of(decoded.rgb, tokens, kept)


@dataclass(frozen=True)
class Completion:
    """What is done with the picture."""

    region: Region
    extension: str
    label: str | None
    seed: int
    guidance: float
    steps: int
    quality: float
    realism: float
    max_pixels: int
    device: str
    weights: Path | None
    force: bool

    def __call__(self, task: Task, shared: SharedCodec) -> Result:
        """Complete one picture; see `Operation`."""
        source, output = task.source, task.output
        assert output is not None
        check_place(source, output, force=self.force)
        if isinstance(output, Path) and self.extension != SBT:
            from sbtcodec.image.saving import check_format

            check_format(output)
        given, model, before = self._read(source)
        from sbtcodec.codec.codec import Codec
        from sbtcodec.codec.decoder import decode_file
        from sbtcodec.generation.completion import completed
        from sbtcodec.generation.generator import Generator

        with naming(source):
            generator = Generator.load(self.device, model=model, weights=self.weights)
        generator.label_of(self.label)  # told before the codec is loaded
        codec = Codec.load(self.device, model=generator.number, weights=self.weights)
        with naming(source):  # whether there is such a look is told before the work
            codec.engine_of(generator.number, self.realism)
        start = time.perf_counter()
        notices: tuple[str, ...] = ()
        if not isinstance(given, bytes):
            notices = given.notices
            given = codec.compress(given, self.quality)
        with naming(source):
            # not marked yet as of a look: only a part of it may be the picture's own
            decoded = decode_file(
                partial(codec.engine_of, realism=self.realism),
                given,
                None,
                allow_partial=False,
                crop=None,
                scale=1,
                max_pixels=self.max_pixels,
            )
            tokens = codec.tokens_of(given, max_pixels=self.max_pixels)
        canvas = self.region.canvas(decoded, tokens)
        done = completed(
            codec,
            generator,
            canvas,
            label=self.label,
            seed=self.seed,
            guidance=self.guidance,
            steps=self.steps,
            realism=self.realism,
        )
        if self.extension == SBT:
            content = codec.compress_tokens(done.tokens)
            notices += (ALONE,)
        else:
            content, more = encoded(
                decoded.picture, done, canvas, self.extension, realism=self.realism
            )
            notices += (*((decoded.notice,) if decoded.notice else ()), *more)
        seconds = time.perf_counter() - start
        with shared.writing():
            write_place(output, content, force=self.force)
        height, width = done.rgb.shape[:2]
        pixels, known = width * height, int(done.known.sum())
        fields = {
            "input": source,
            "output": output,
            "width": width,
            "height": height,
            "bytes": len(content),
            "class": self.label,
            "seed": self.seed,
            "realism": self.realism,
            "tokens": done.known.size,
            "known_tokens": known,
            "synthesised_pixels": int(done.synthesised.sum()),
            "seconds": round(seconds, 3),
            "notices": list(notices),
        }
        share = 100 * done.synthesised.mean()
        look = f"  realism {self.realism:g}" if self.realism else ""
        line = (
            f"{output}  {width} x {height} pixels, {share:.0f} % synthesised"
            f"  {done.known.size - known} of {done.known.size} tokens drawn{look}"
            f"  {number(len(content))} bytes  {seconds:.2f} s"
        )
        return Result(line, fields, before, len(content), len(given), pixels, notices)

    def _read(self, source: Place) -> "tuple[Picture | bytes, int | None, int]":
        """An image, or the bytes of a file and its model; and how many bytes it has."""
        from sbtcodec.image.pixels import load_image

        found = image_input(source)
        data = found if isinstance(found, bytes) else b""
        if isinstance(found, Path) and (found.is_file() or found.suffix.lower() == SBT):
            data = read_sbt(found)  # of something else, the start alone
        if is_sbt(data) or (isinstance(found, Path) and found.suffix.lower() == SBT):
            with naming(source):
                header = unpack(data).header
                check_pixels(header, self.max_pixels)
            self.region.check(header.width, header.height, self.max_pixels)
            return data, header.model, len(data)
        if isinstance(found, Path):
            picture = load_image(found, max_pixels=self.max_pixels)
            before = found.stat().st_size
        else:
            before = len(found)
            with naming(source):
                picture = load_image(found, max_pixels=self.max_pixels)
        self.region.check(picture.rgb.shape[1], picture.rgb.shape[0], self.max_pixels)
        return picture, None, before
