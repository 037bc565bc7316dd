"""What `sample` writes of its pictures."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sbtcodec.cli.common.paths import read_sbt
from sbtcodec.generation.config import SHEET
from sbtcodec.image.files import check_output, write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from sbtcodec.codec.codec import Codec
    from sbtcodec.generation.generator import Generator

ANY = "any"  # in names of files, where no class was asked for


@dataclass(frozen=True)
class Made:
    """A picture, and whether anything of it was written.

    Attributes:
        number: of the picture.
        sbt: its file.
        png: what it decodes to, if that is written.
        bytes: of the `.sbt` file.
        size: width and height in pixels.
        written: False if all of it was there already.
        realism: share of the vivid look in the PNG file; None if that was there already.
    """

    number: int
    sbt: Path
    png: Path | None
    bytes: int
    size: tuple[int, int]
    written: bool
    realism: float | None

    @property
    def pixels(self) -> int:
        """Of the picture."""
        return self.size[0] * self.size[1]

    @property
    def line(self) -> str:
        """What is told of it."""
        if not self.written:
            return f"{self.sbt}  exists already, skipped"
        shown = "" if self.png is None else f"  {self.png.name}"
        look = f"  realism {self.realism:g}" if self.realism else ""
        bpp = 8 * self.bytes / self.pixels
        return f"{self.sbt}  {self.bytes} bytes  {bpp:.4f} bpp{shown}{look}"

    def fields(self, label: str | None, seed: int) -> dict[str, Any]:
        """The same for machines."""
        return {
            "output": self.sbt,
            "png": self.png,
            "class": label,
            "seed": seed,
            "number": self.number,
            "realism": self.realism,
            "bytes": self.bytes,
            "bpp": round(8 * self.bytes / self.pixels, 6),
            "width": self.size[0],
            "height": self.size[1],
        }


@dataclass(frozen=True)
class Sampling:
    """What is written, and where.

    Attributes:
        folder: for everything.
        label: the class, None for any.
        size: width and height in pixels.
        seed: of the draws.
        count: pictures of the sheet.
        png: write PNG files.
        sheet: write the sheet.
        realism: share of the vivid look in PNG files and on the sheet.
        strip: without metadata.
        force: replace what is there.
        skip_existing: leave what is there.
        thumbnails: of the pictures so far.
    """

    folder: Path
    label: str | None
    size: tuple[int, int]
    seed: int
    count: int
    png: bool
    sheet: bool
    realism: float
    strip: bool
    force: bool
    skip_existing: bool
    thumbnails: "list[Image]" = field(default_factory=list)

    def path(self, number: int, extension: str) -> Path:
        """Where a picture is written."""
        return self.folder / f"{self.label or ANY}-{self.seed}-{number:04d}{extension}"

    def check(self, numbers: range) -> None:
        """Fail before long work if an output cannot be written."""
        paths = [self.path(n, ext) for n in numbers for ext in ([".sbt", ".png"][: 1 + self.png])]
        for path in [*paths, *([self.folder / SHEET] if self.sheet else [])]:
            if not self._kept(path):
                check_output(path, force=self.force)

    def files(
        self, group: range, generator: "Generator", codec: "Codec", guidance: float, steps: int
    ) -> Iterator[Made]:
        """Draw some pictures, and write them one by one."""
        from sbtcodec.image.contact_sheet import thumbnail

        drawn = []
        # drawn together or not at all, so that what was left out changes nothing in the others
        if not all(self._kept(self.path(number, ".sbt")) for number in group):
            width, height = self.size
            drawn = generator.sample(
                len(group),
                width=width,
                height=height,
                label=self.label,
                seed=self.seed,
                guidance=guidance,
                steps=steps,
                first=group.start,
            )
        for each in group:
            sbt, png = self.path(each, ".sbt"), self.path(each, ".png")
            written = not self._kept(sbt)
            if written:
                data = codec.compress_tokens(drawn[each - group.start])
                write_atomically(sbt, data, force=self.force)
            else:
                data = read_sbt(sbt)
            with_png = self.png and not self._kept(png)
            if with_png or self.sheet:
                rgb = codec.decode(data, realism=self.realism).rgb
                if with_png:
                    write_atomically(png, self._encoded(rgb), force=self.force)
                if self.sheet:
                    self.thumbnails.append(thumbnail(rgb, self.count))
            yield Made(
                each,
                sbt,
                png if self.png else None,
                len(data),
                self.size,
                written or with_png,
                self.realism if with_png or not self.png else None,
            )

    def write_sheet(self) -> None:
        """Write all pictures on one sheet."""
        from sbtcodec.image.contact_sheet import contact_sheet

        path = self.folder / SHEET
        if not self.sheet or self._kept(path):
            return
        write_atomically(path, self._encoded(contact_sheet(self.thumbnails)), force=self.force)

    def _encoded(self, rgb: "NDArray[np.uint8]") -> bytes:
        """A PNG file of pixels uint8 [H, W, 3] that says that they are synthesised, and how."""
        from sbtcodec.image.picture import Picture
        from sbtcodec.image.provenance import synthesised_xmp, with_synthesised_detail
        from sbtcodec.image.saving import encode_image

        picture = Picture(rgb)
        if not self.strip:
            picture = replace(picture, xmp=synthesised_xmp())
            if self.realism:
                picture = with_synthesised_detail(picture, self.realism)
        return encode_image(picture, ".png")

    def _kept(self, path: Path) -> bool:
        """Whether a file is there and left as it is."""
        return self.skip_existing and path.is_file()
