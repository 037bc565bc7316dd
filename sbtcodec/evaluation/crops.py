"""Pieces of decoded images for the report: sbt beside each baseline at the nearest file size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sbtcodec.evaluation import metrics
from sbtcodec.evaluation.codecs import ImageCodec
from sbtcodec.evaluation.curves import mean_curve
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.qualities import Quality
from sbtcodec.evaluation.results import Results
from sbtcodec.evaluation.run import bits_per_pixel

CROP_SIDE = 256
"""Side of a crop in pixels; the whole side where the image is smaller."""

_TARGET_BPP = (0.0, 0.12, 0.4)
"""Rates near which a row of crops is made by default: the smallest file, a small, a usual one."""


@dataclass(frozen=True)
class Crop:
    """A piece of one decoded image; size, rate and PSNR are those of the whole image."""

    codec: str
    quality: Quality
    size: int
    bpp: float
    psnr: float
    pixels: Rgb
    """uint8 `[S, S, 3]`, S at most 256."""


@dataclass(frozen=True)
class CropRow:
    """One quality of the subject, and each baseline at about the same number of bytes."""

    subject: Crop
    baselines: tuple[Crop, ...]


@dataclass(frozen=True)
class CropSheet:
    """The rows of one image, with the piece of the original and where it lies."""

    image: str
    left: int
    top: int
    original: Rgb
    rows: tuple[CropRow, ...]


def make_sheets(
    results: Results,
    dataset: Dataset,
    codecs: Sequence[ImageCodec],
    *,
    images: Sequence[str] = (),
    qualities: Sequence[Quality] = (),
) -> tuple[CropSheet, ...]:
    """Encode some images again and cut the same centred piece out of each.

    Args:
        results: the run; its subject leads the rows.
        dataset: where the images are.
        codecs: all codecs of the run.
        images: names of the images; by default three spread evenly over the set, so that nobody
            has picked them.
        qualities: the subject's qualities, a row each; by default those whose mean rate is the
            lowest, near 0.12 bpp and near 0.4 bpp.

    Raises:
        DatasetError: an image is not in the data set.
    """
    by_name = {codec.name: codec for codec in codecs}
    subject = by_name[results.subject.name]
    baselines = [by_name[codec.name] for codec in results.baselines]
    chosen = tuple(qualities) or default_qualities(results)
    sheets = []
    for name in images or default_images(dataset):
        rgb = dataset.image(name)
        rows = []
        for quality in chosen:
            data = subject.encode(rgb, quality)
            others = (
                nearest_quality(codec, rgb, len(data), _sizes(results, codec, name))
                for codec in baselines
            )
            rows.append(
                CropRow(
                    _crop(subject, rgb, quality, data),
                    tuple(
                        _crop(codec, rgb, found, coded)
                        for codec, (found, coded) in zip(baselines, others, strict=True)
                    ),
                )
            )
        left, top = _corner(rgb)
        sheets.append(CropSheet(name, left, top, _cut(rgb), tuple(rows)))
    return tuple(sheets)


def nearest_quality(
    codec: ImageCodec, rgb: Rgb, size: int, known: Mapping[int, int] | None = None
) -> tuple[int, bytes]:
    """The whole quality at which a codec's file is nearest in size (by ratio), and that file.

    Halves the range of qualities, so it relies on files growing with quality; where they do so
    only nearly, the result is the best of those tried.

    Args:
        codec: whose quality is sought.
        rgb: image, uint8 `[H, W, 3]`.
        size: bytes to come near to.
        known: sizes already measured at some qualities, to begin with a narrower range.
    """
    low, high = codec.quality_range
    for quality, bytes_there in (known or {}).items():
        if bytes_there < size:
            low = max(low, quality)
        else:
            high = min(high, quality)
    tried: dict[int, bytes] = {}
    while low <= high:
        middle = (low + high) // 2
        tried[middle] = codec.encode(rgb, middle)
        if len(tried[middle]) < size:
            low = middle + 1
        else:
            high = middle - 1
    if not tried:  # sizes that shrink as quality grows have left no range
        tried[low] = codec.encode(rgb, low)
    best = min(sorted(tried), key=lambda quality: abs(math.log(len(tried[quality]) / size)))
    return best, tried[best]


def default_images(dataset: Dataset) -> tuple[str, ...]:
    """Three names spread evenly over a data set, or all where there are fewer."""
    names = dataset.image_names
    places = (len(names) // 6, len(names) // 2, len(names) * 5 // 6)
    return tuple(dict.fromkeys(names[place] for place in places))


def default_qualities(results: Results) -> tuple[Quality, ...]:
    """The subject's qualities with the mean rates nearest to the default targets, without twins."""
    points = mean_curve(results.subject).points
    nearest = (min(points, key=lambda p: abs(p.bpp - target)) for target in _TARGET_BPP)
    return tuple(dict.fromkeys(point.quality for point in nearest))


def _sizes(results: Results, codec: ImageCodec, image: str) -> dict[int, int]:
    """Bytes of an image at each whole quality that the run measured of a codec."""
    return {
        int(measurement.quality): measurement.size
        for one in results.codecs
        if one.name == codec.name
        for measurement in one.measurements
        if measurement.image == image
        and not isinstance(measurement.quality, str)
        and measurement.quality == int(measurement.quality)
    }


def _crop(codec: ImageCodec, rgb: Rgb, quality: Quality, data: bytes) -> Crop:
    x_hat = codec.decode(data)
    return Crop(
        codec=codec.name,
        quality=quality,
        size=len(data),
        bpp=bits_per_pixel(len(data), rgb),
        psnr=metrics.psnr(rgb, x_hat),
        pixels=_cut(x_hat),
    )


def _corner(rgb: Rgb) -> tuple[int, int]:
    """Left and top of the centred crop."""
    height, width = rgb.shape[:2]
    return max(0, (width - CROP_SIDE) // 2), max(0, (height - CROP_SIDE) // 2)


def _cut(rgb: Rgb) -> Rgb:
    left, top = _corner(rgb)
    return np.ascontiguousarray(rgb[top : top + CROP_SIDE, left : left + CROP_SIDE])
