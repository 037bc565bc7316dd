"""Classical codecs at rates too low for them: the image made smaller first, then coded."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from sbtcodec.errors import SbtError
from sbtcodec.evaluation.codecs import ImageCodec
from sbtcodec.evaluation.metrics import Rgb, psnr

FACTORS = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True)
class Coded:
    """One image as a codec gave it back.

    Attributes:
        rgb: uint8 [H, W, 3], of the original's size.
        size: bytes that count.
        container: bytes of the file around the coded picture, counted or not.
        factor: by which the image was made smaller before it was coded.
        fits: whether it is within the bytes of the base layer.
    """

    rgb: Rgb
    size: int
    container: int
    factor: int = 1
    fits: bool = True


@dataclass(frozen=True)
class Shrunk:
    """One image made smaller by several factors; its files are made when asked for, once."""

    codec: ImageCodec
    rgb: Rgb
    files: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def encode(self, factor: int, quality: int) -> bytes:
        """The file of the image, made smaller with a Lanczos filter."""
        key = factor, quality
        if key not in self.files:
            height, width = self.rgb.shape[:2]
            size = max(1, round(width / factor)), max(1, round(height / factor))
            image = Image.fromarray(self.rgb)
            small = image if factor == 1 else image.resize(size, Image.Resampling.LANCZOS)
            self.files[key] = self.codec.encode(np.asarray(small), quality)
        return self.files[key]

    def decode(self, data: bytes) -> Rgb:
        """The image in a file, made as large as the original with a bicubic filter."""
        height, width = self.rgb.shape[:2]
        image = Image.fromarray(self.codec.decode(data))
        return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))

    def best(self, budget: int, container: Callable[[bytes], int], *, free: bool) -> Coded:
        """The file of the highest PSNR within a number of bytes.

        For each factor that is the file of the highest quality that fits, found by halving the
        range of qualities. If nothing fits, it is the smallest file of all.

        Args:
            budget: bytes.
            container: tells how many bytes of a file are not the coded picture.
            free: do not count those.
        """

        def size(data: bytes) -> int:
            return len(data) - (container(data) if free else 0)

        found = []
        for factor in FACTORS:
            low, high = self.codec.quality_range
            if size(self.encode(factor, low)) > budget:
                continue
            while low < high:
                middle = (low + high + 1) // 2
                if size(self.encode(factor, middle)) <= budget:
                    low = middle
                else:
                    high = middle - 1
            data = self.encode(factor, low)
            found.append(Coded(self.decode(data), size(data), container(data), factor))
        if found:
            return max(found, key=lambda coded: psnr(self.rgb, coded.rgb))
        lowest = self.codec.quality_range[0]
        factor = min(FACTORS, key=lambda factor: len(self.encode(factor, lowest)))
        data = self.encode(factor, lowest)
        return Coded(self.decode(data), size(data), container(data), factor, fits=False)


def avif_container(data: bytes) -> int:
    """Bytes of an AVIF file outside of its media data.

    Raises:
        SbtError: there is no media data.
    """
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big") or len(data) - at
        if data[at + 4 : at + 8] == b"mdat":
            return len(data) - (length - 8)
        at += max(8, length)
    raise SbtError("an AVIF file without media data (mdat); expected what Pillow writes")


def webp_container(data: bytes) -> int:
    """Bytes of a WebP file outside of its one chunk's content.

    Raises:
        SbtError: it does not consist of a chunk of lossy pixels alone.
    """
    length = int.from_bytes(data[16:20], "little")
    if data[12:16] != b"VP8 " or len(data) - length not in {20, 21}:
        raise SbtError("a WebP file of more than one chunk; expected what Pillow writes")
    return len(data) - length
