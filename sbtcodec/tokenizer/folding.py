"""Places into channels and back, in the order that memory has, which is faster.

`nn.PixelUnshuffle` and `nn.PixelShuffle` order channels as (channel, row, column), and move numbers
one by one in tensors that keep the channels of a place together. Here the order is (row, column,
channel), which moves them in runs. Weights are stored in the first order; the layers next to a
folding bring them into the second at each call, which costs next to nothing.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.tokenizer.layers import Pointwise, pointwise


class _Folding(nn.Module):
    """What folding and its inverse have in common."""

    def __init__(self, side: int) -> None:
        """For squares of `side` x `side` places."""
        super().__init__()
        self.side = side


class Fold(_Folding):
    """Squares of places become one place: float [B, C, sH, sW] -> [B, s * s * C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        """Channels of the result are ordered as (row, column, channel)."""
        s = self.side
        rows = x.permute(0, 2, 3, 1)
        b, h, w, c = rows.shape
        rows = rows.reshape(b, h // s, s, w // s, s * c).transpose(2, 3)
        return rows.reshape(b, h // s, w // s, s * s * c).permute(0, 3, 1, 2)


class Unfold(_Folding):
    """The inverse of `Fold`: float [B, s * s * C, H, W] -> [B, C, sH, sW]."""

    def forward(self, x: Tensor) -> Tensor:
        """Channels of x are ordered as (row, column, channel)."""
        s = self.side
        rows = x.permute(0, 2, 3, 1)
        b, h, w, c = rows.shape
        rows = rows.reshape(b, h, w, s, c // s).transpose(2, 3)
        return rows.reshape(b, h * s, w * s, c // (s * s)).permute(0, 3, 1, 2)


class FoldedPointwise(Pointwise):
    """A 1x1 convolution of what `Fold` gives; weights ordered as after `nn.PixelUnshuffle`."""

    def __init__(self, c_in: int, c_out: int, *, side: int = 2, gain: float = 1.0) -> None:
        """Draw weights as `Pointwise` does."""
        super().__init__(c_in, c_out, gain=gain)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """float [B, c_in, H, W] -> [B, c_out, H, W]."""
        return pointwise(x, by_place(self.weight, self.side, 1), self.bias)


class UnfoldingPointwise(Pointwise):
    """A 1x1 convolution into `Unfold`; weights ordered as before `nn.PixelShuffle`."""

    def __init__(self, c_in: int, c_out: int, *, side: int = 2, gain: float = 1.0) -> None:
        """Draw weights as `Pointwise` does."""
        super().__init__(c_in, c_out, gain=gain)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """float [B, c_in, H, W] -> [B, c_out, H, W]."""
        weight, bias = (by_place(t, self.side, 0) for t in (self.weight, self.bias))
        return pointwise(x, weight, bias)


class FoldedConv(nn.Conv2d):
    """A 3x3 convolution of what `Fold(4)` gives; weights ordered as after `nn.PixelUnshuffle`."""

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, H, W] -> [B, out_channels, H, W]."""
        return F.conv2d(x, by_place(self.weight, 4, 1), self.bias, padding=self.padding)


class UnfoldingConv(nn.Conv2d):
    """A 3x3 convolution into `Unfold`; weights ordered as before `nn.PixelShuffle`."""

    def __init__(self, c_in: int, c_out: int, size: int, *, padding: int, side: int = 4) -> None:
        """Draw weights as `nn.Conv2d` does."""
        super().__init__(c_in, c_out, size, padding=padding)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """float [B, in_channels, H, W] -> [B, out_channels, H, W]."""
        assert self.bias is not None
        weight, bias = (by_place(t, self.side, 0) for t in (self.weight, self.bias))
        return F.conv2d(x, weight, bias, padding=self.padding)


def by_place(weight: Tensor, side: int, dim: int) -> Tensor:
    """Dimension `dim` from the order (channel, row, column) to (row, column, channel)."""
    shape = weight.shape
    split = weight.reshape(*shape[:dim], -1, side * side, *shape[dim + 1 :])
    return split.transpose(dim, dim + 1).flatten(dim, dim + 1)
