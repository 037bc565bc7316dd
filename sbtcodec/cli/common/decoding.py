"""One `.sbt` file to its image, as `decompress` writes it."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.operation import Result
from sbtcodec.cli.common.paths import Place, check_place, naming, read_checked, write_place
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.container import Header, Look
from sbtcodec.grid import Box

if TYPE_CHECKING:
    from sbtcodec.generation.concealment import Concealment
    from sbtcodec.image.picture import Picture


@dataclass(frozen=True)
class Decompression:
    """What `decompress` does with each file; attributes as its options.

    Attributes:
        layers: detail layers to use; all if None.
        extension: of images whose name has none.
        crop: the part to decode, in pixels; all if None.
        scale: factor to reduce the picture by.
        allow_partial: decode what is whole.
        concealment: draws what is damaged, if that is asked for.
        realism: share of the vivid look; None as the file is meant.
        strip: write neither metadata nor profile.
        max_pixels: refuse files of more.
        force: replace outputs.
    """

    layers: int | None
    extension: str
    crop: Box | None
    scale: int
    allow_partial: bool
    concealment: "Concealment | None"
    realism: float | None
    strip: bool
    max_pixels: int
    force: bool

    def __call__(self, task: Task, shared: SharedCodec) -> Result:
        """Decode one file; see `Operation`."""
        source, output = task.source, task.output
        assert output is not None
        data, header = read_checked(source, self.max_pixels, allow_partial=self.allow_partial)
        if self.crop is not None:
            _check_crop(self.crop, header)
        check_place(source, output, force=self.force)
        if isinstance(output, Path):
            from sbtcodec.image.saving import check_format

            check_format(output)
        vivid = header.look is Look.VIVID if self.realism is None else self.realism > 0
        codec = shared.decoder(header.width * header.height, vivid=vivid)
        start = time.perf_counter()
        with naming(source):
            decoded = codec.decode(
                data,
                self.layers,
                allow_partial=self.allow_partial,
                crop=self.crop,
                scale=self.scale,
                realism=self.realism,
                max_pixels=self.max_pixels,
                conceal=self.concealment,
            )
        seconds = time.perf_counter() - start
        picture = _stripped(decoded.picture) if self.strip else decoded.picture
        picture = replace(picture, passing=True)
        decoded = replace(decoded, picture=picture)
        with shared.writing(), naming(source):
            after, lost = self._write(picture, output)
        notices = (*((decoded.notice,) if decoded.notice else ()), *picture.notices, *lost)
        fields = {
            "input": source,
            "output": output,
            "width": decoded.rgb.shape[1],
            "height": decoded.rgb.shape[0],
            "layers": decoded.layers,
            "declared_layers": decoded.declared_layers,
            "realism": decoded.realism,
            "seconds": round(seconds, 3),
            "notices": list(notices),
        }
        look = f"  realism {decoded.realism:g}" if decoded.realism else ""
        line = (
            f"{output}  {decoded.rgb.shape[1]} x {decoded.rgb.shape[0]} pixels"
            f"  {decoded.layers} of {decoded.declared_layers} detail layers{look}  {seconds:.2f} s"
        )
        pixels = decoded.rgb.shape[1] * decoded.rgb.shape[0]
        return Result(line, fields, len(data), after, len(data), pixels, notices)

    def _write(self, picture: "Picture", output: Place) -> tuple[int, tuple[str, ...]]:
        """Write an image; return its bytes, and what its format cannot hold."""
        from sbtcodec.image.saving import encode_image, fitted

        extension = "" if output == "-" else output.suffix
        fitting = fitted(picture, extension or self.extension)
        encoded = encode_image(fitting, extension or self.extension)
        write_place(output, encoded, force=self.force)
        return len(encoded), fitting.notices[len(picture.notices) :]


def _check_crop(crop: Box, header: Header) -> None:
    if crop.right > header.width or crop.bottom > header.height:
        raise typer.BadParameter(
            f"the crop of {crop.width} x {crop.height} pixels at {crop.left},{crop.top} leaves the"
            f" picture of {header.width} x {header.height}",
            param_hint="--crop",
        )


def _stripped(picture: "Picture") -> "Picture":
    """The picture without EXIF and XMP data and without a profile, its colours in sRGB."""
    if picture.icc is None and picture.cicp is None:
        return replace(picture, exif=None, xmp=None)
    from sbtcodec.image.conversion import as_picture

    height, width = picture.rgb.shape[:2]
    bare = as_picture(picture, strip=True, max_pixels=height * width)
    return replace(bare, notices=(*picture.notices, *bare.notices))
