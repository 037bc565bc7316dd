"""The rate of global tokens made differentiable: for training, and for the token search."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sbtcodec.entropy.prior import centred
from sbtcodec.entropy.units import LOGITS_PER_OCTAVE, VALUE_ONE


def relaxed(values: Tensor, levels: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Levels as the integer inputs of the prior, float, with the gradient of their values.

    Args:
        values: float [B, dims, H, W] in (-1, 1), of `FSQ`.
        levels: int64 [B, dims, H, W], theirs.
        counts: levels of each dimension.
    """
    scaled = values * VALUE_ONE
    return centred(levels, counts).float() + (scaled - scaled.detach())


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
