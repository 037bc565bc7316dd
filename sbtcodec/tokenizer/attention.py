"""Attention among global tokens, inside windows and in bands of them.

Letters: B batch, H W rows and columns of a token grid, D width, N tokens of a window.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.tokenizer.config import WINDOW

BAND_TOKENS = 2**13  # that go through a layer at once, where there are no gradients: 80 MB


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

    def _windows(self, t: Tensor, missing: int) -> Tensor:
        """Rows of tokens to heads by windows: float [B, H, W, D] -> [B', heads, N, D / heads].

        `missing` rows of the uppermost windows are above.
        """
        b, h, w, d = t.shape
        bottom, right = -(h + missing) % WINDOW, -(w + self.shift) % WINDOW
        t = F.pad(t, (0, 0, self.shift, right, missing, bottom))
        rows, columns = t.shape[1] // WINDOW, t.shape[2] // WINDOW
        t = t.view(b, rows, WINDOW, columns, WINDOW, self.heads, d // self.heads)
        t = t.permute(0, 1, 3, 5, 2, 4, 6)
        return t.reshape(b * rows * columns, self.heads, WINDOW * WINDOW, d // self.heads)

    def _grid(self, t: Tensor, like: Tensor, missing: int) -> Tensor:
        """The inverse of `_windows`, for a grid of the shape of `like`."""
        b, h, w, d = like.shape
        rows, columns = -(-(h + missing) // WINDOW), -(-(w + self.shift) // WINDOW)
        t = t.view(b, rows, columns, self.heads, WINDOW, WINDOW, d // self.heads)
        t = t.permute(0, 1, 4, 2, 5, 3, 6).reshape(b, rows * WINDOW, columns * WINDOW, d)
        return t[:, missing : missing + h, self.shift : self.shift + w]

    def _attend(self, t: Tensor, missing: int) -> Tensor:
        """Attention inside windows: float [B, H, W, D] -> the same shape."""
        b, h, w, d = t.shape
        q, k, v = self.qkv(self.norm(t)).chunk(3, -1)
        if h + missing <= WINDOW and w + self.shift <= WINDOW:
            # a grid inside one window needs no filling up: same result, fewer tokens
            rows = torch.arange(missing, missing + h, device=t.device)
            columns = torch.arange(self.shift, self.shift + w, device=t.device)
            at = (rows[:, None] * WINDOW + columns).flatten()
            cos, sin = self.cos[at], self.sin[at]
            q, k, v = (s.reshape(b, h * w, self.heads, -1).transpose(1, 2) for s in (q, k, v))
            o = _attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
            o = o.transpose(1, 2).reshape(b, h, w, d)
        else:
            whole = torch.ones(1, h, w, self.heads, dtype=torch.float32, device=t.device)
            present = self._windows(whole, missing)
            mask = present[:, :1].transpose(2, 3).bool().repeat(b, 1, 1, 1)
            q, k = (_rotate(self._windows(s, missing), self.cos, self.sin) for s in (q, k))
            o = _attention(q, k, self._windows(v, missing), mask)
            o = self._grid(o, t, missing)
        out: Tensor = self.out(o)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """float [B, D, H, W] -> the same shape, for any H and W."""
        return self._among_windows(x + self.mix(x), self.shift)

    def of_rows(self, x: Tensor, rows: slice) -> Tensor:
        """Some rows of what `forward` gives; they begin and end where windows do."""
        seen = slice(max(0, rows.start - 1), rows.stop + 1)
        h = x[:, :, seen]
        h = (h + self.mix(h))[:, :, rows.start - seen.start :][:, :, : rows.stop - rows.start]
        return self._among_windows(h, 0 if rows.start else self.shift)

    def row_bands(self, height: int, most: int) -> Iterator[slice]:
        """Bands of whole windows over so many rows, alike, of at most about `most` rows.

        A last band of a single row would be rounded otherwise than in the whole.
        """
        windows = -(-(height + self.shift) // WINDOW)
        count = -(-windows // max(2, most // WINDOW))
        edges = [windows * i // count * WINDOW - self.shift for i in range(count + 1)]
        for start, stop in pairwise(edges):
            yield slice(max(0, start), min(stop, height))

    def _among_windows(self, x: Tensor, missing: int) -> Tensor:
        """What follows the convolution; `missing` rows of the uppermost windows are above."""
        t = x.permute(0, 2, 3, 1)
        t = t + self._attend(t, missing)
        t = t + self.project(F.gelu(self.expand(self.norm_mlp(t))))
        out: Tensor = t.permute(0, 3, 1, 2)
        return out


class Attention(nn.Sequential):
    """Layers of attention; without gradients, many tokens go through each in bands of windows.

    That is for the sake of memory, and takes no longer: a band fits the processor's cache better.
    """

    def __init__(self, width: int, heads: int, layers: int) -> None:
        """So many layers, every other of them shifted."""
        super().__init__(
            *[WindowAttention(width, heads, shifted=i % 2 == 1) for i in range(layers)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, D, H, W] -> the same shape, for any H and W."""
        most = BAND_TOKENS // (x.shape[0] * x.shape[3])  # rows
        if torch.is_grad_enabled() or x.shape[2] <= most:
            for layer in self:
                x = layer(x)
            return x
        for layer in self:
            assert isinstance(layer, WindowAttention)
            made = torch.empty_like(x)
            for rows in layer.row_bands(x.shape[2], most):
                made[:, :, rows] = layer.of_rows(x, rows)
            x = made
        return x


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
