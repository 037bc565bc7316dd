"""Distances between an image and its decoded version, all on 8-bit RGB pixels.

`x` is the original and `x_hat` the decoded image, both uint8 `[H, W, 3]` in 0..255, sRGB.
"""

import io
import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from sbtcodec.errors import ImageError
from sbtcodec.evaluation.extras import import_extra

Rgb: TypeAlias = npt.NDArray[np.uint8]
"""An image: uint8 `[H, W, 3]`, sRGB, 0..255."""

MS_SSIM_MIN_SIDE = 161
"""Shortest side for MS-SSIM: five scales, halved four times, under a window of 11 pixels."""

SSIMULACRA2_MIN_SIDE = 8
"""Shortest side for SSIMULACRA2: below it not even the first scale is measured."""


def psnr(x: Rgb, x_hat: Rgb) -> float:
    """Peak signal-to-noise ratio in dB over all RGB samples, peak 255; `inf` when identical.

    Raises:
        ImageError: the two are not uint8 `[H, W, 3]` of one size.
    """
    check_pair(x, x_hat)
    difference = x.astype(np.int32) - x_hat.astype(np.int32)
    mse = float(np.mean(np.square(difference), dtype=np.float64))
    return math.inf if mse == 0 else 10 * math.log10(255**2 / mse)


def ms_ssim(x: Rgb, x_hat: Rgb) -> float:
    """Multi-scale structural similarity in 0..1, 1 when identical (package `pytorch-msssim`).

    Per channel, averaged over R, G and B; five scales with the weights of Wang et al. 2003. An
    image with a side under 161 pixels does not have five scales: the result is then `nan`.

    Raises:
        ImageError: the two are not uint8 `[H, W, 3]` of one size.
        SbtError: `pytorch-msssim` is not installed.
    """
    check_pair(x, x_hat)
    if min(x.shape[:2]) < MS_SSIM_MIN_SIDE:
        return math.nan
    package = import_extra("pytorch_msssim")
    import torch

    def tensor(image: Rgb) -> torch.Tensor:
        # float32 [1, 3, H, W] in 0..255
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()

    with torch.inference_mode():
        return float(package.ms_ssim(tensor(x), tensor(x_hat), data_range=255))


def ms_ssim_db(x: Rgb, x_hat: Rgb) -> float:
    """MS-SSIM in decibels, `-10 log10(1 - ms_ssim)`: `inf` when identical, `nan` when too small.

    Raises:
        ImageError: the two are not uint8 `[H, W, 3]` of one size.
        SbtError: `pytorch-msssim` is not installed.
    """
    return decibels(ms_ssim(x, x_hat))


def decibels(similarity: float) -> float:
    """A similarity in 0..1 as `-10 log10(1 - similarity)` dB; `inf` from 1 (by rounding) on."""
    return math.inf if similarity >= 1 else -10 * math.log10(1 - similarity)


def ssimulacra2(x: Rgb, x_hat: Rgb) -> float:
    """SSIMULACRA2 score (package of that name): 100 when identical, 90 visually lossless.

    70 is high quality, 50 medium, 30 low; the worst images are negative, without a lower bound,
    but still ordered. An image with a side under 8 pixels cannot be measured: `nan`.

    Raises:
        ImageError: the two are not uint8 `[H, W, 3]` of one size.
        SbtError: `ssimulacra2` is not installed.
    """
    check_pair(x, x_hat)
    if min(x.shape[:2]) < SSIMULACRA2_MIN_SIDE:
        return math.nan
    package = import_extra("ssimulacra2")
    # The package reads files; PPM in memory costs a copy and loses nothing.
    return float(package.compute_ssimulacra2(_ppm(x), _ppm(x_hat)))


def _ppm(image: Rgb) -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PPM")
    buffer.seek(0)
    return buffer


def measure_of(metric: str) -> Callable[[Rgb, Rgb], float]:
    """The function of the metric called "psnr", "ms-ssim" or "ssimulacra2".

    Raises:
        KeyError: there is no such metric.
    """
    return {"psnr": psnr, "ms-ssim": ms_ssim, "ssimulacra2": ssimulacra2}[metric]


def check_pair(x: Rgb, x_hat: Rgb) -> None:
    """Refuse what no metric can compare.

    Raises:
        ImageError: the two are not uint8 `[H, W, 3]` of one size.
    """
    for name, image in (("x", x), ("x_hat", x_hat)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            msg = f"{name} is {image.dtype} {list(image.shape)}; a metric takes uint8 [H, W, 3]"
            raise ImageError(msg)
    if x.shape != x_hat.shape:
        msg = f"the decoded image is {list(x_hat.shape)}, the original {list(x.shape)}"
        raise ImageError(msg)
