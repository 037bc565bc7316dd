"""The prior P(z) over global tokens: integers, four interleaved sub-grids, level by level.

The token grid is split by the parity of row and column. Each sub-grid is coded given those before
it, all its tokens at once; inside a token the levels are coded one after the other. That is 24
parallel passes whatever the size of the image.
"""

import torch
from torch import Tensor, nn

from sbtcodec.entropy.integer_net import (
    IntegerConv,
    IntegerNet,
    activate,
    residual_layers,
    residuals,
)
from sbtcodec.entropy.units import KNOWN, SUBGRIDS, SUMS_PER_LOGIT, VALUE_ONE


def centred(levels: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Levels int64 [B, dims, H, W] as integer inputs in -56..56: floor(64 (2l + 1 - K) / K)."""
    # made where they are needed: a copy from the host would make a device wait
    each = [torch.full((1, 1, 1, 1), n, dtype=torch.int64, device=levels.device) for n in counts]
    k = torch.cat(each, 1)
    return torch.div((2 * levels + 1 - k) * VALUE_ONE, k, rounding_mode="floor")


def subgrid(height: int, width: int, index: int, device: torch.device) -> Tensor:
    """bool [1, 1, height, width]: the tokens of sub-grid `index`."""
    row, column = SUBGRIDS[index]
    rows = torch.arange(height, device=device).view(1, 1, -1, 1) % 2 == row
    columns = torch.arange(width, device=device).view(1, 1, 1, -1) % 2 == column
    return rows & columns


class Prior(IntegerNet):
    """Logits of every level of every global token, from the tokens coded before it."""

    def __init__(
        self, levels: tuple[int, ...], width: int = 96, hidden: int = 64, depth: int = 1
    ) -> None:
        """A trunk of `width` channels, and one head with `hidden` channels per dimension.

        `depth` pairs of layers look at the neighbourhood, each farther.
        """
        super().__init__()
        self.levels = levels
        dims = len(levels)
        self.enter = IntegerConv(dims + 1, width, kernel=3)
        self.depthwise = IntegerConv(width, width, kernel=3, depthwise=True)
        self.mix = IntegerConv(width, width, gain=0.7)
        self.deeper = residuals(depth - 1, width)
        self.mix_more = IntegerConv(width, width)
        self.hidden = nn.ModuleList([IntegerConv(width + d, hidden) for d in range(dims)])
        self.heads = nn.ModuleList([IntegerConv(hidden, k, gain=0.2) for k in levels])

    def context(self, z: Tensor, known: Tensor) -> Tensor:
        """Features of every position from the known tokens.

        Args:
            z: centred levels, [B, dims, H, W]; what is unknown is ignored.
            known: bool, broadcastable to [B, 1, H, W].

        Returns:
            Activations [B, width, H, W].
        """
        plane = known.to(z.dtype).expand(z.shape[0], 1, *z.shape[2:])
        h = activate(self.enter(torch.cat([z * plane, plane * KNOWN], 1)))
        h = residual_layers([(self.depthwise, self.mix), *self.deeper], h)
        features: Tensor = activate(self.mix_more(h))
        return features

    def logits(self, features: Tensor, z: Tensor, dim: int) -> Tensor:
        """Integer logits [B, K, H, W] of dimension `dim`, given the dimensions before it.

        Args:
            features: of `context`, [B, width, H, W].
            z: centred levels; only dimensions below `dim` are read.
            dim: 0-based dimension.
        """
        h = activate(self.hidden[dim](torch.cat([features, z[:, :dim]], 1)))
        scaled = self.heads[dim](h) * (1.0 / SUMS_PER_LOGIT)
        logits: Tensor = scaled + (torch.floor(scaled + 0.5) - scaled).detach()
        return logits

    def forward(self, z: Tensor) -> list[Tensor]:
        """All logits at once, for training and for measuring the ideal rate.

        Args:
            z: centred levels [B, dims, H, W] of whole images.

        Returns:
            For each dimension, logits [B, K, H, W].
        """
        b, _, h, w = z.shape
        masks = [subgrid(h, w, i, z.device) for i in range(len(SUBGRIDS))]
        known = [torch.zeros_like(masks[0])]
        for mask in masks[:-1]:
            known.append(known[-1] | mask)
        every = self.context(
            z.repeat(len(masks), 1, 1, 1),
            torch.cat(known).repeat_interleave(b, 0),
        ).view(len(masks), b, -1, h, w)
        features = sum(f * m for f, m in zip(every, masks, strict=True))
        assert isinstance(features, Tensor)
        return [self.logits(features, z, d) for d in range(len(self.levels))]
