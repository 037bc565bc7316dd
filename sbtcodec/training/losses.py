"""Rates and distortions as differentiable losses."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sbtcodec.entropy.detail import SCALE_MIN, SCALE_STEP, SUMS_PER_INDEX, TABLES
from sbtcodec.entropy.prior import LOGITS_PER_OCTAVE

SMALLEST_PROBABILITY = 1e-9


def leaky_clamp(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp in value, but let a twentieth of the gradient through outside, against dead ends."""
    clamped = x.clamp(low, high)
    return clamped + 0.05 * ((x - clamped) - (x - clamped).detach())


def symbol_scale(total: Tensor, gain_offset: Tensor) -> Tensor:
    """The scale, in steps, of the table that accumulators select; differentiable."""
    index = leaky_clamp((total + gain_offset) / SUMS_PER_INDEX, 0.0, TABLES - 1.0)
    index = index + (torch.floor(index + 0.5) - index).detach()
    return SCALE_MIN * torch.exp(SCALE_STEP * index)


def gaussian_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits of a unit-wide interval around `residual` under a zero-mean normal of `scale`."""
    magnitude = residual.abs()
    inverse = 1.0 / (scale * math.sqrt(2.0))
    upper = torch.erf((0.5 - magnitude) * inverse)
    lower = torch.erf((-0.5 - magnitude) * inverse)
    return -torch.log2((0.5 * (upper - lower)).clamp_min(SMALLEST_PROBABILITY))


def token_bits(logits: list[Tensor], levels: Tensor, position: Tensor) -> Tensor:
    """Bits of each global token, float32 [B, H, W].

    The value is the exact cost of the levels. The gradient towards the encoder is that of the cost
    interpolated between the two levels around the unrounded position.

    Args:
        logits: per dimension, integer-valued [B, K, H, W]; 64 units are a factor of two.
        levels: int64 [B, dims, H, W].
        position: float [B, dims, H, W], unrounded levels.
    """
    bits = torch.zeros_like(position[:, 0])
    for d, logit in enumerate(logits):
        natural = logit.float() * (math.log(2) / LOGITS_PER_OCTAVE)
        cost = F.log_softmax(natural, 1) * (-1 / math.log(2))
        exact = cost.gather(1, levels[:, d : d + 1])[:, 0]
        at = position[:, d : d + 1].clamp(0, logit.shape[1] - 1)
        low = at.detach().floor().clamp(0, logit.shape[1] - 2)
        fraction = at - low
        table = cost.detach()
        below = table.gather(1, low.long())
        above = table.gather(1, low.long() + 1)
        smooth = (below + fraction * (above - below))[:, 0]
        bits = bits + exact + (smooth - smooth.detach())
    return bits
