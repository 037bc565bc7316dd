"""Pictures as networks are to see them: read from image or `.sbt` files, cut and resized."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sbtcodec import __version__
from sbtcodec.container import check_pixels, unpack
from sbtcodec.errors import InvalidFileError, ModelMismatchError
from sbtcodec.evaluation.datasets import load_image
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.limits import DEFAULT_MAX_PIXELS
from sbtcodec.models.registry import MANIFEST, weights_dir

if TYPE_CHECKING:
    from sbtcodec.codec.codec import Codec


@dataclass(frozen=True)
class Preparation:
    """How a file becomes the pixels that a network sees.

    Attributes:
        side: of the square that pictures are cut to, about their middle, and resized to, in pixels;
            None leaves them as they are.
        device: where `.sbt` files are decoded, `cpu` or `cuda`.
        precision: of that, as in `Codec.load`.
    """

    side: int | None = None
    device: str = "cpu"
    precision: str = "auto"

    def key(self, paths: Iterable[Path]) -> str:
        """All that the pixels of these files depend on beside their content."""
        if not any(map(_is_sbt, paths)):
            return self.description
        # models in the making keep their number while their weights change
        manifest = (weights_dir() / MANIFEST).read_bytes()
        models = hashlib.sha256(manifest).hexdigest()
        return (
            f"{self.description}; sbtcodec {__version__}, {models}, {self.device}, {self.precision}"
        )

    @property
    def description(self) -> str:
        """What is done, for the records."""
        if self.side is None:
            return "pictures as they are"
        return (
            f"middle square, resized to {self.side}x{self.side} (Pillow's bicubic, antialiased, "
            "8 bits)"
        )

    def __call__(self, path: Path) -> tuple[Rgb, tuple[int, int]]:
        """Pixels of a file, and its width and height before it was cut.

        Args:
            path: an `.sbt` file, by its extension, or an image. Alpha is dropped, gray repeated.

        Returns:
            uint8 [H, W, 3], and (width, height).

        Raises:
            DatasetError: it cannot be read as an 8-bit image.
            InvalidFileError, ModelMismatchError: it is no `.sbt` file that can be decoded here.
            SbtError: of other kinds, for the device and the weights.
        """
        rgb = self._decoded(path) if _is_sbt(path) else load_image(path)
        height, width = rgb.shape[:2]
        if self.side is not None and (height, width) != (self.side, self.side):
            rgb = _middle(rgb, self.side)
        return rgb, (width, height)

    def _decoded(self, path: Path) -> Rgb:
        try:
            data = path.read_bytes()
            check_pixels(unpack(data).header, DEFAULT_MAX_PIXELS)
            return _codec(self.device, self.precision).decode(data, realism=0).rgb
        except OSError as error:
            raise InvalidFileError(f"{path} cannot be read: {error.strerror}") from error
        except (InvalidFileError, ModelMismatchError) as error:
            raise type(error)(f"{path}: {error}") from error


def _is_sbt(path: Path) -> bool:
    return path.suffix.lower() == ".sbt"


def _middle(rgb: Rgb, side: int) -> Rgb:
    """The middle square of a picture, resized to uint8 [side, side, 3]."""
    height, width = rgb.shape[:2]
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    square = Image.fromarray(np.ascontiguousarray(rgb[top : top + cut, left : left + cut]))
    return np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))


@cache
def _codec(device: str, precision: str) -> "Codec":
    from sbtcodec.codec.codec import Codec

    return Codec.load(device, precision=precision, encoder=False)
