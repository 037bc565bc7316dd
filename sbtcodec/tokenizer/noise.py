"""Noise that a decoder draws texture from: the same at a place of a picture, whoever decodes it.

A network of convolutions that sees a smooth place can only put there what repeats, and what it can
tell apart is where in its own squares a pixel is: it draws dots in a grid. With noise it need not.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from sbtcodec.grid import LATENT_STRIDE, Box

PERIOD = 64  # latents, 1024 pixels, after which noise repeats
PLACES4, PLACES2 = (LATENT_STRIDE // 4) ** 2, (LATENT_STRIDE // 2) ** 2  # of a latent, at a stride
_BITS = 24


@cache
def _tile() -> Tensor:
    """float32 [PLACES4 + PLACES2, PERIOD, PERIOD], uniform, of variance 1.

    Raw bits of the generator are the same in all releases of NumPy; its distributions are not.
    """
    shape = PLACES4 + PLACES2, PERIOD, PERIOD
    bits = np.random.PCG64(9).random_raw(int(np.prod(shape))) >> np.uint64(64 - _BITS)
    uniform = (bits.astype(np.float64) + 0.5) / 2**_BITS - 0.5
    return torch.from_numpy((uniform * 12**0.5).astype(np.float32).reshape(shape))


def noise_at(latents: Box, device: torch.device) -> Tensor:
    """Noise of some latents of a picture.

    Args:
        latents: counted from the upper left corner of the picture.
        device: where it is wanted.

    Returns:
        float32 [1, PLACES4 + PLACES2, height, width]: for the places of each latent at stride 4,
        then at stride 2, row by row.
    """
    rows, columns = (
        torch.arange(first, last) % PERIOD
        for first, last in ((latents.top, latents.bottom), (latents.left, latents.right))
    )
    return _tile()[:, rows][:, :, columns][None].to(device)
