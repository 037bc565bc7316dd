"""Finite scalar quantisation of global tokens (Mentzer et al., arXiv 2309.15505).

Each dimension of a token is squashed to (0, 1) and cut into equally wide bins, so there is no
codebook that could collapse. The squashing is a sigmoid of slope 1.6, close to the distribution
function of a normal variable, which makes the levels about equally likely (iFSQ, arXiv 2601.17124).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Quantised(NamedTuple):
    """A quantised token grid, with K levels in each dimension.

    Attributes:
        values: float [B, dims, H, W] in (-1, 1), bin centres, straight-through gradient.
        levels: int64 [B, dims, H, W], 0 <= level < K.
        position: float [B, dims, H, W] in (-0.5, K - 0.5): the unrounded level.
    """

    values: Tensor
    levels: Tensor
    position: Tensor


class FSQ(nn.Module):
    """The quantiser; no parameters."""

    counts: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        """`levels[d]` bins in dimension d."""
        super().__init__()
        counts = torch.tensor(levels, dtype=torch.float32, device="cpu")
        self.register_buffer("counts", counts.view(1, -1, 1, 1), persistent=False)
        self.bits = sum(math.log2(k) for k in levels)

    def forward(self, z: Tensor) -> Quantised:
        """Quantise float [B, dims, H, W], any range; computed in float32."""
        position = torch.sigmoid(1.6 * z.float()) * self.counts - 0.5
        levels = torch.minimum(position.round().clamp_min(0), self.counts - 1)
        soft = self.to_values(position)
        values = soft + (self.to_values(levels) - soft).detach()
        return Quantised(values, levels.detach().long(), position)

    def to_values(self, levels: Tensor) -> Tensor:
        """Bin centres in (-1, 1) of levels [B, dims, H, W]."""
        return (2 * levels + 1) / self.counts - 1
