"""What a comparison of one picture in many versions holds; `compare` makes it."""

from dataclasses import dataclass

import numpy as np

from sbtcodec.evaluation.metrics import Rgb


@dataclass(frozen=True)
class Area:
    """A rectangle of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def cut(self, rgb: Rgb) -> Rgb:
        """The area's pixels, uint8 `[height, width, 3]`, of a picture `[H, W, 3]`."""
        rows = slice(self.top, self.top + self.height)
        return np.ascontiguousarray(rgb[rows, self.left : self.left + self.width])


@dataclass(frozen=True, eq=False)
class Version:
    """A decoded version of the picture.

    Attributes:
        key: unique name, without spaces.
        label: name for the reader.
        size: bytes of the file, or of the part of it that the version needs.
        bpp: bits per pixel.
        psnr: dB, `inf` when identical.
        ms_ssim: 0..1, `nan` where it was not measured.
        pixels: the area shown, uint8 `[h, w, 3]`.
        settings: what made it, beside the quality.
        quality: of another codec, the quality found.
        fits: whether `size` is not above that of the `.sbt` file.
    """

    key: str
    label: str
    size: int
    bpp: float
    psnr: float
    ms_ssim: float
    pixels: Rgb
    settings: str = ""
    quality: int | None = None
    fits: bool = True


@dataclass(frozen=True)
class Part:
    """A part of the file: its name and bytes."""

    name: str
    size: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """All versions of a picture of `width` x `height` pixels, of which `area` is shown.

    Attributes:
        size: bytes of the `.sbt` file.
        quality: 0..100, as the file says.
        model: number of the model.
        original: the area of the original, uint8 `[h, w, 3]`.
        parts: the file from its start, overhead first; they add up to `size`.
        prefixes: the file cut after its base layer and after each detail layer; the last is whole.
        looks: the whole file with other looks of its model: detail is synthesised.
        others: other codecs, each at its largest quality that needs no more bytes, or at its
            lowest where even that needs more.
    """

    width: int
    height: int
    area: Area
    size: int
    quality: float
    model: int
    original: Rgb
    parts: tuple[Part, ...]
    prefixes: tuple[Version, ...]
    others: tuple[Version, ...]
    looks: tuple[Version, ...] = ()

    @property
    def versions(self) -> tuple[Version, ...]:
        """All of them but the original."""
        return (*self.prefixes, *self.looks, *self.others)

    @property
    def whole(self) -> Version:
        """The version that uses the whole file."""
        return self.prefixes[-1]
