"""A picture in memory, with all that is kept of an image file.

Letters: `H`, `W` the rows and columns of an image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.arguments import shown
from sbtcodec.errors import ArgumentError

# What stands before EXIF data in a JPEG file, and in what Pillow hands out.
EXIF_PREFIX = b"Exif\0\0"


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, and what belongs to them.

    Attributes:
        rgb: uint8 [H, W, 3], in the colour space of `icc`. Three equal channels if `grayscale`.
        notices: one sentence for each thing that was not kept.
        grayscale: whether the picture has one channel, as a file.
        alpha: uint8 [H, W], 0 for transparent; None if opaque everywhere. Not multiplied into
            `rgb`, which keeps its values where nothing is to be seen.
        icc: the profile of `rgb`, for RGB or, if `grayscale`, for gray; None for sRGB, unless
            `cicp` says otherwise.
        exif: the EXIF data, as a TIFF structure (without "Exif" before it). It says nothing of an
            orientation, or 1, upright: as the pixels are.
        xmp: the XMP packet.
        cicp: the colour space of `rgb` as four code points of H.273: primaries, transfer function,
            0 and 1. It stands before `icc`, which says the same to programs that do not know
            it, and is None where no profile does, as for high dynamic range.
        look: how it is meant to be seen: "faithful" or "vivid"; None if nobody said. A hint.
        passing: whether its pixels are forgotten when it is compressed or written to a file:
            nobody else needs them, and of a large picture they take much memory.

    Raises `ArgumentError` for arrays of another shape or dtype.
    """

    rgb: NDArray[np.uint8]
    notices: tuple[str, ...] = ()
    grayscale: bool = False
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    cicp: bytes | None = None
    passing: bool = False
    look: str | None = None

    def __post_init__(self) -> None:
        """Check shapes and dtypes."""
        rgb, alpha = self.rgb, self.alpha
        for array in (rgb,) if alpha is None else (rgb, alpha):
            if not isinstance(array, np.ndarray):
                raise ArgumentError(f"found {shown(array)}, expected an array uint8 [H, W, 3]")
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ArgumentError(f"found {rgb.dtype} {list(rgb.shape)}, expected uint8 [H, W, 3]")
        if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != rgb.shape[:2]):
            raise ArgumentError(
                f"found alpha of {alpha.dtype} {list(alpha.shape)},"
                f" expected uint8 {list(rgb.shape[:2])}"
            )

    @property
    def mode(self) -> str:
        """Pillow's name for the channels: "L", "LA", "RGB" or "RGBA"."""
        return ("L" if self.grayscale else "RGB") + ("" if self.alpha is None else "A")

    def forget_pixels(self) -> None:
        """Give back the memory of `rgb`, which keeps its shape and is black from then on."""
        black = np.broadcast_to(np.uint8(0), self.rgb.shape)
        object.__setattr__(self, "rgb", black)

    def to_image(self) -> Image.Image:
        """Return a PIL image of mode `mode`, metadata in its `info` under Pillow's names."""
        channels = self.rgb[:, :, :1] if self.grayscale else self.rgb
        if self.alpha is not None:
            channels = np.concatenate([channels, self.alpha[:, :, None]], 2)
        if channels.shape[2] == 1:
            channels = channels[:, :, 0]
        image = Image.fromarray(np.ascontiguousarray(channels))
        image.info.update(pillow_info(self.icc, self.exif, self.xmp, self.cicp))
        return image


def pillow_info(
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    cicp: bytes | None = None,
) -> dict[str, bytes]:
    """Return metadata under the names, and in the form, that Pillow's `info` has for it.

    It has none for code points, which are `cicp` here.
    """
    exif = exif and EXIF_PREFIX + exif
    found = {"icc_profile": icc, "exif": exif, "xmp": xmp, "cicp": cicp}
    return {key: data for key, data in found.items() if data}
