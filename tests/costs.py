"""What a decoded picture costs: its errors at the price that the model sets for them."""

import numpy as np
import torch
from numpy.typing import NDArray

from sbtcodec.codec import Codec
from sbtcodec.refinement import STRUCTURE
from sbtcodec.structure import mixed, ms_ssim


def bits_per_pixel(codec: Codec, data: bytes, image: NDArray[np.uint8], quality: float) -> float:
    """Bits per pixel of a file, and its errors of pixels and structure, per pixel, as bits."""
    pixels = image.shape[0] * image.shape[1]
    x, x_hat = (
        torch.tensor(rgb).permute(2, 0, 1)[None] / 255 for rgb in (image, codec.decode(data).rgb)
    )
    mse = 255**2 * (x - x_hat).square().mean()
    errors = float(mixed(mse, 1 - ms_ssim(x, x_hat), STRUCTURE))
    return 8 * len(data) / pixels + codec.release.lmbda(round(quality * 2.55)) * errors
