"""A loss of spectra: how far a picture has patterns of one frequency that photographs do not have.

A decoder makes several pixels of a place at once, so what it draws most easily is a pattern with
the period of such a place: dots or a weave, 2, 4 or 8 pixels apart. Where it is stronger in one
place and weaker, or turned around, in the next, as a picture asks for more or less texture, its
mean over places is nothing; in the spectrum it is a hill about a multiple of 1/8 cycles a pixel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BANDS = 32  # along each axis of the spectrum: 1/32 cycles a pixel are a band
RING = 3  # bands on each side that a band is compared with, but for its neighbours
LOWEST = 3  # bands from the middle, in which a spectrum falls too steeply to tell a hill
UNSEEN = 4e-6  # power that is added: noise with a deviation of half of one of 255 levels
ALLOWED = 0.7  # by which the logarithm of a band may exceed those around it: twice the power


def hills(x: Tensor) -> Tensor:
    """How far the power of bands exceeds that around them, in nats.

    Args:
        x: float32 [B, C, N, N] in [0, 1], N a multiple of BANDS.

    Returns:
        float32 [B, BANDS, BANDS], means over channels' power; the lowest frequencies are 0.
    """
    side = x.shape[-1]
    window = torch.hann_window(side, device=x.device)
    window = window[:, None] * window
    x = (x - x.mean((2, 3), keepdim=True)) * window
    power = torch.view_as_real(torch.fft.fft2(x)).square().sum(-1) / window.square().sum()
    # a band is about its frequency, so that multiples of 1/8 cycles are in the middle of one
    half = side // BANDS // 2
    power = power.mean(1).roll((half, half), (1, 2))
    levels = F.avg_pool2d(power, side // BANDS).add(UNSEEN).log()
    around = F.pad(levels[:, None], (RING,) * 4, mode="circular")
    found: Tensor = levels - F.conv2d(around, _ring(x.device))[:, 0]
    return found * _high(x.device)


def carrier_traces(made: Tensor, x: Tensor) -> Tensor:
    """How strong hills are in spectra of pictures, where those of photographs have none.

    Args:
        made: float32 [B, C, N, N], about [0, 1], N a multiple of BANDS; has gradients of these.
        x: the photographs, the same shape.
    """
    with torch.no_grad():
        allowed = hills(x).clamp_min(0) + ALLOWED
    excess: Tensor = F.relu(hills(made) - allowed)
    return excess.square().mean()


def _ring(device: torch.device) -> Tensor:
    """Weights [1, 1, 7, 7] of the mean over bands around one, without it and its neighbours."""
    weights = torch.ones(2 * RING + 1, 2 * RING + 1, device=device)
    weights[RING - 1 : RING + 2, RING - 1 : RING + 2] = 0
    return (weights / weights.sum())[None, None]


def _high(device: torch.device) -> Tensor:
    """1 for the bands that are looked at, float [BANDS, BANDS]."""
    along = torch.fft.fftfreq(BANDS, device=device) * BANDS
    distance = torch.hypot(along[:, None], along)
    return distance.ge(LOWEST).float()
