"""The blocks that the tokenizer's float networks are made of.

Letters: B batch, C channels, H W rows and columns of a token grid, D width, N tokens of a window.
"""

from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sbtcodec.grid import Box
from sbtcodec.runtime.tensors import normal
from sbtcodec.tokenizer.config import WINDOW

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


def _rotations(width: int, side: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [side * side, width // 2], of 2-D rotary positions in a window."""
    quarter = width // 4
    order = torch.arange(quarter, dtype=torch.float32, device="cpu")
    frequency = 1.0 / (2.0 * torch.pi) ** (order / max(1, quarter - 1))
    places = torch.arange(side, dtype=torch.float32, device="cpu")
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    angle = torch.cat([rows.reshape(-1, 1) * frequency, columns.reshape(-1, 1) * frequency], 1)
    return angle.cos(), angle.sin()


class WindowAttention(nn.Module):
    """Full attention among the 8x8 global tokens of a 256-pixel window, then a small network.

    Windows of odd layers are shifted by half a window, and a depthwise convolution precedes each
    layer, so that information crosses window borders. Positions are relative (rotary), so any grid
    works; tokens that only fill up a window are masked out.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, width: int, heads: int, *, shifted: bool) -> None:
        """Attention of `heads` heads over windows of WINDOW x WINDOW tokens."""
        super().__init__()
        self.heads = heads
        self.shift = WINDOW // 2 if shifted else 0
        self.mix = nn.Conv2d(width, width, 3, padding=1, groups=width)
        nn.init.zeros_(self.mix.weight)
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.project = nn.Linear(2 * width, width)
        cos, sin = _rotations(width // heads, WINDOW)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _windows(self, t: Tensor) -> Tensor:
        """Rows of tokens to heads by windows: float [B, H, W, D] -> [B', heads, N, D / heads]."""
        b, h, w, d = t.shape
        top, bottom, right = self.shift, -(h + self.shift) % WINDOW, -(w + self.shift) % WINDOW
        t = F.pad(t, (0, 0, top, right, top, bottom))
        rows, columns = t.shape[1] // WINDOW, t.shape[2] // WINDOW
        t = t.view(b, rows, WINDOW, columns, WINDOW, self.heads, d // self.heads)
        t = t.permute(0, 1, 3, 5, 2, 4, 6)
        return t.reshape(b * rows * columns, self.heads, WINDOW * WINDOW, d // self.heads)

    def _grid(self, t: Tensor, like: Tensor) -> Tensor:
        """The inverse of `_windows`, for a grid of the shape of `like`."""
        b, h, w, d = like.shape
        rows, columns = -(-(h + self.shift) // WINDOW), -(-(w + self.shift) // WINDOW)
        t = t.view(b, rows, columns, self.heads, WINDOW, WINDOW, d // self.heads)
        t = t.permute(0, 1, 4, 2, 5, 3, 6).reshape(b, rows * WINDOW, columns * WINDOW, d)
        return t[:, self.shift : self.shift + h, self.shift : self.shift + w]

    def _attend(self, t: Tensor) -> Tensor:
        """Attention inside windows: float [B, H, W, D] -> the same shape."""
        b, h, w, d = t.shape
        q, k, v = self.qkv(self.norm(t)).chunk(3, -1)
        if h + self.shift <= WINDOW and w + self.shift <= WINDOW:
            # a grid inside one window needs no filling up: same result, fewer tokens
            rows = torch.arange(self.shift, self.shift + h, device=t.device)
            columns = torch.arange(self.shift, self.shift + w, device=t.device)
            at = (rows[:, None] * WINDOW + columns).flatten()
            cos, sin = self.cos[at], self.sin[at]
            q, k, v = (s.reshape(b, h * w, self.heads, -1).transpose(1, 2) for s in (q, k, v))
            o = _attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
            o = o.transpose(1, 2).reshape(b, h, w, d)
        else:
            whole = torch.ones(1, h, w, self.heads, dtype=torch.float32, device=t.device)
            present = self._windows(whole)
            mask = present[:, :1].transpose(2, 3).bool().repeat(b, 1, 1, 1)
            q, k = (_rotate(self._windows(s), self.cos, self.sin) for s in (q, k))
            o = _attention(q, k, self._windows(v), mask)
            o = self._grid(o, t)
        out: Tensor = self.out(o)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """float [B, D, H, W] -> the same shape, for any H and W."""
        t = (x + self.mix(x)).permute(0, 2, 3, 1)
        t = t + self._attend(t)
        t = t + self.project(F.gelu(self.expand(self.norm_mlp(t))))
        out: Tensor = t.permute(0, 3, 1, 2)
        return out


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention of [B', heads, N, d]; where `mask` [B', 1, 1 or N, N] is False, none.

    With gradients on a CPU it is written out, in float32: torch's fused kernel takes five times as
    long there, in bfloat16, for windows as small as these. Products in bfloat16 are hardly faster,
    and their gradients are much further from the exact ones.
    """
    if not torch.is_grad_enabled() or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        product = q.float() @ k.float().transpose(-1, -2) * q.shape[-1] ** -0.5
        if mask is not None:
            product = product.masked_fill(~mask, float("-inf"))
        attended: Tensor = (product.softmax(-1) @ v.float()).to(v.dtype)
    return attended


def _rotate(t: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate float [B', heads, N, d] by the angle of each token's position, [N, d / 2]."""
    a, b = t.chunk(2, -1)
    cos, sin = cos.to(t.dtype), sin.to(t.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


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


def room(channels: int, latents: Box, device: torch.device) -> Tensor:
    """Uninitialised float32 [1, channels, H, W] in the layout of `pixel_rows`."""
    shape = 1, channels, latents.height, latents.width
    rows = torch.channels_last
    return torch.empty(shape, dtype=torch.float32, device=device, memory_format=rows)


def part_of(h: Tensor, latents: Box, fineness: int) -> Tensor:
    """Some latents of float [B, C, H, W], which has `fineness` rows and columns for each."""
    box = latents.times(fineness)
    if box.sides == (0, 0, *h.shape[2:]):
        return h
    return pixel_rows(h[:, :, box.rows, box.columns])
