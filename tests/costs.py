"""What a decoded picture costs: its errors at the price that the model sets for them."""

import numpy as np
import torch
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.rdo.latent_search import MS_SSIM_SHARE
from sbtcodec.rdo.ms_ssim import distortion
from sbtcodec.tokenizer.layers import planes


def errors(codec: Codec, data: bytes, image: NDArray[np.uint8], ms_ssim_share: float) -> float:
    """Errors of pixels and MS-SSIM of a file, summed over the pixels of the image."""
    x, x_hat = (planes(rgb, torch.device("cpu")) for rgb in (image, codec.decode(data).rgb))
    return float(distortion(x, x_hat, ms_ssim_share))


def bits_per_pixel(codec: Codec, data: bytes, image: NDArray[np.uint8], quality: float) -> float:
    """Bits per pixel of a file, and its errors per pixel as bits."""
    lmbda = codec.release.lmbda(round(quality * 2.55))
    bits = 8 * len(data) + lmbda * errors(codec, data, image, MS_SSIM_SHARE)
    return bits / (image.shape[0] * image.shape[1])
