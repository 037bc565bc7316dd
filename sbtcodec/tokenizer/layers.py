"""The blocks that the tokenizer's float networks are made of.

Letters: B batch, C channels, H W rows and columns of a token grid.
"""

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sbtcodec.grid import Box
from sbtcodec.runtime.tensors import normal

M = TypeVar("M", bound=nn.Module)

PIECE = 2**19  # numbers that the small network of a block takes at once: 2 MB


def pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The product of float [B, c_in, H, W] with [c_out, c_in] at every place, plus a bias."""
    rows = F.linear(x.permute(0, 2, 3, 1), weight, bias)  # a view if channels_last
    return rows.permute(0, 3, 1, 2)


class Pointwise(nn.Module):
    """A 1x1 convolution whose weight is a matrix, so that matrix optimisers apply to it."""

    def __init__(self, c_in: int, c_out: int, *, gain: float = 1.0) -> None:
        """Draw weights with variance gain^2 / c_in."""
        super().__init__()
        self.weight = nn.Parameter(normal((c_out, c_in), gain / c_in**0.5))
        self.bias = nn.Parameter(torch.zeros(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """float [B, c_in, H, W] -> [B, c_out, H, W]."""
        return pointwise(x, self.weight, self.bias)


class Block(nn.Module):
    """Depthwise 3x3, then a two-layer pointwise network, added to the input.

    ConvNeXt without its norm; 5x5 depthwise kernels cost fifteen times as much to train on a CPU.
    """

    def __init__(self, channels: int, expansion: int = 2) -> None:
        """Start near the identity: the branch is scaled by 0.3."""
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.expand = Pointwise(channels, expansion * channels)
        self.project = Pointwise(expansion * channels, channels)
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """float [B, C, H, W] -> the same shape."""
        h = self.depthwise(x)
        kind, half = h.device.type, self.expand.weight.dtype == torch.bfloat16
        if half and kind == "cpu":
            return self._piecewise(pixel_rows(x.to(h.dtype)), pixel_rows(h))
        if torch.is_grad_enabled() or kind != "cpu" or torch.is_autocast_enabled(kind):
            # scaled weights instead of a scaled branch: two passes over it less in training
            scale = self.scale.flatten()
            weight, bias = self.project.weight * scale[:, None], self.project.bias * scale
            return x + pointwise(F.gelu(self.expand(h)), weight, bias)
        return self._piecewise(pixel_rows(x), pixel_rows(h))

    def _piecewise(self, x: Tensor, h: Tensor) -> Tensor:
        """The rest of `forward` for a few places at a time, in place: h is overwritten.

        What lies between the layers then stays in the cache, which saves a fifth of the time. In
        bfloat16 (`sbtcodec.tokenizer.half`) the scale is in the weights.
        """
        into, back = self.expand.weight.T, self.project.weight.T
        scale = self.scale.flatten()
        old, new = (t.permute(0, 2, 3, 1).view(-1, t.shape[1]) for t in (x, h))
        size = PIECE // h.shape[1]
        hidden = h.new_empty(min(size, len(new)), into.shape[1])
        for start in range(0, len(new), size):
            rows = new[start : start + size]
            between = hidden[: len(rows)]
            torch.addmm(self.expand.bias, rows, into, out=between)
            torch.ops.aten.gelu_(between)
            torch.addmm(self.project.bias, between, back, out=rows)
            if rows.dtype == torch.bfloat16:
                rows.add_(old[start : start + size])
            else:
                torch.addcmul(old[start : start + size], scale, rows, out=rows)
        return h


def channels_last(module: M) -> M:
    """The module with its kernels laid out for channels_last inputs, the fast layout on a CPU."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module


def pixel_rows(t: Tensor) -> Tensor:
    """The tensor [B, C, H, W] with the channels of each place side by side in memory."""
    return t.contiguous(memory_format=torch.channels_last)


def joined(above: Tensor, below: Tensor) -> Tensor:
    """Rows [B, C, h, W] and [B, C, H, W] one above the other, both as `pixel_rows` lays them out.

    `torch.cat` would find the layout of rows without any to be another, and move every number.
    """
    if not above.shape[2]:
        return below
    return torch.cat([t.permute(0, 2, 3, 1) for t in (above, below)], 1).permute(0, 3, 1, 2)


def planes(rgb: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pixels uint8 [H, W, 3] as the networks take them: float32 [1, 3, H, W] in [0, 1]."""
    x = torch.tensor(rgb, dtype=torch.uint8, device=device)
    return x.permute(2, 0, 1)[None].float().div_(255)


def room(
    channels: int, latents: Box, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Uninitialised float [1, channels, H, W] in the layout of `pixel_rows`."""
    shape = 1, channels, latents.height, latents.width
    rows = torch.channels_last
    return torch.empty(shape, dtype=dtype, device=device, memory_format=rows)


def part_of(h: Tensor, latents: Box, fineness: int) -> Tensor:
    """Some latents of float [B, C, H, W], which has `fineness` rows and columns for each."""
    box = latents.times(fineness)
    if box.sides == (0, 0, *h.shape[2:]):
        return h
    return pixel_rows(h[:, :, box.rows, box.columns])
