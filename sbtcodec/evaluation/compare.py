"""One picture in many versions: every prefix of its `.sbt` file, and other codecs at its bytes.

Sizes and metrics are those of the whole picture. What is kept of its pixels is an area small enough
to be put into a page.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sbtcodec.container import describe
from sbtcodec.errors import ImageError, SbtError
from sbtcodec.evaluation import metrics
from sbtcodec.evaluation.codecs import ImageCodec
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.run import bits_per_pixel
from sbtcodec.evaluation.versions import Area, Comparison, Part, Version
from sbtcodec.image.provenance import detail_text
from sbtcodec.image.transparency import WHITE, over

if TYPE_CHECKING:
    from sbtcodec.codec.codec import Codec

MAX_AREA_SIDE = 2048
"""Default side of the area shown of a larger picture; its square is the most that is shown."""

MS_SSIM_MAX_PIXELS = 2**24
"""Above it MS-SSIM, which takes some 200 bytes of memory a pixel, is not measured."""

VIVID_KEY, VIVID_LABEL = "sbt-vivid", "vivid look (whole file)"


def default_area(width: int, height: int) -> Area:
    """All of a picture of up to 2048 x 2048 pixels in all; of a larger one the centre."""
    if width * height <= MAX_AREA_SIDE**2:
        return Area(0, 0, width, height)
    w, h = min(width, MAX_AREA_SIDE), min(height, MAX_AREA_SIDE)
    return Area((width - w) // 2, (height - h) // 2, w, h)


def compare(
    rgb: Rgb,
    data: bytes,
    codec: "Codec",
    baselines: Sequence[ImageCodec],
    area: Area,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Decode every prefix of a file, and encode its original with other codecs to its size.

    If the model has a vivid look, the whole file is decoded with it too.

    Args:
        rgb: the original, uint8 `[H, W, 3]`; over white where it is transparent, as the versions
            of the file are.
        data: the `.sbt` file.
        codec: decodes it.
        baselines: the other codecs.
        area: what to keep of the pixels.
        tell: called with the name of each step before it.

    Raises:
        ImageError: the file is of a picture of another size.
        InvalidFileError, ModelMismatchError: the file cannot be decoded.
    """
    info = describe(data)
    height, width = rgb.shape[:2]
    check_sizes((width, height), (info.width, info.height))
    parts = [Part("header and tables", info.overhead_bytes)]
    parts += [Part(layer.name, layer.present_bytes) for layer in info.layers if layer.present_bytes]

    def version(key: str, label: str, size: int, x_hat: Rgb) -> Version:
        return Version(
            key=key,
            label=label,
            size=size,
            bpp=bits_per_pixel(size, rgb),
            psnr=metrics.psnr(rgb, x_hat),
            ms_ssim=_ms_ssim(rgb, x_hat),
            pixels=area.cut(x_hat),
        )

    prefixes = []
    for layers in range(len(parts) - 1):
        label = "globals only" if layers == 0 else f"+ detail layer {layers}"
        tell(label)
        if 0 < layers == len(parts) - 2:
            label += " (whole file)"
        decoded = codec.decode(data, layers, realism=0, max_pixels=height * width)
        x_hat = over(decoded.picture, WHITE)
        size = sum(part.size for part in parts[: layers + 2])
        prefixes.append(version(f"sbt-{layers}", label, size, x_hat))

    looks = []
    if codec.has_look(info.model):
        tell(VIVID_LABEL)
        decoded = codec.decode(data, realism=1, max_pixels=height * width)
        vivid = version(VIVID_KEY, VIVID_LABEL, len(data), over(decoded.picture, WHITE))
        looks.append(replace(vivid, settings=detail_text(1)))

    others = []
    for baseline in baselines:
        tell(baseline.name)
        quality, coded = largest_within(baseline, rgb, len(data))
        found = version(
            baseline.name, f"{baseline.name} q{quality}", len(coded), baseline.decode(coded)
        )
        others.append(
            replace(
                found,
                settings=baseline.settings,
                quality=quality,
                fits=len(coded) <= len(data),
            )
        )
    return Comparison(
        width=width,
        height=height,
        area=area,
        size=len(data),
        quality=info.quality,
        model=info.model,
        original=area.cut(rgb),
        parts=tuple(parts),
        prefixes=tuple(prefixes),
        others=tuple(others),
        looks=tuple(looks),
    )


def largest_within(codec: ImageCodec, rgb: Rgb, size: int) -> tuple[int, bytes]:
    """The largest whole quality at which a codec's file is not above `size` bytes, and the file.

    Where no quality is small enough: the smallest file. Halves the range of qualities, so it relies
    on files growing with quality; where they do so only nearly, the file still is within `size`.

    Args:
        codec: whose quality is sought.
        rgb: image, uint8 `[H, W, 3]`.
        size: bytes.
    """
    low, high = codec.quality_range
    tried: dict[int, bytes] = {}
    while low <= high:
        middle = (low + high) // 2
        tried[middle] = codec.encode(rgb, middle)
        if len(tried[middle]) <= size:
            low = middle + 1
        else:
            high = middle - 1
    fitting = [quality for quality, data in tried.items() if len(data) <= size]
    best = max(fitting) if fitting else min(tried, key=lambda quality: len(tried[quality]))
    return best, tried[best]


def check_sizes(original: tuple[int, int], file: tuple[int, int]) -> None:
    """Fail if an original and a file differ in (width, height).

    Raises `ImageError`.
    """
    if original != file:
        raise ImageError(
            f"the original is {original[0]} x {original[1]} pixels, the .sbt file holds "
            f"{file[0]} x {file[1]}; give the picture that the file was made from"
        )


def _ms_ssim(x: Rgb, x_hat: Rgb) -> float:
    if x.shape[0] * x.shape[1] > MS_SSIM_MAX_PIXELS:
        return math.nan
    try:
        return metrics.ms_ssim(x, x_hat)
    except SbtError:  # its package belongs to the extra `bench`
        return math.nan
