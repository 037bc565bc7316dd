"""Networks of integers: what selects a probability is computed from integers, exactly.

Activations are integers, 16 of which are 1.0; weights are integers, 128 of which are 1.0. A layer's
sum (an accumulator, 2048 of which are 1.0) is an integer below 2^24 whatever part of it is summed,
so that float32 counts it exactly whatever the order (`IntegerNet.freeze` proves the bound when
weights are loaded). Products are in float64 all the same: a program may let torch round the
factors of float32 products to fewer bits, for the whole process; float64 it leaves alone, as does
autocast. While training, the same layers run as ordinary convolutions with straight-through
rounding. Files are coded by the same sums in NumPy (`sbtcodec.entropy.exact`).
"""

import copy
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.entropy.units import ACTIVATION_MAX, SUM_ONE, SUMS_FREE, WEIGHT_ONE
from sbtcodec.runtime.tensors import normal, round_ste

N = TypeVar("N", bound=nn.Module)


def copied_to(network: N, device: torch.device) -> N:
    """A released network for use on `device`: itself on the CPU, where it stays, else a copy."""
    return network if device.type == "cpu" else copy.deepcopy(network).to(device)


def activate(total: Tensor) -> Tensor:
    """Accumulators to activations: divide by 128, round half up, clamp to 0..255 (a ReLU).

    Exact: the division is by a power of two, and floor(t + 1/2) has no ties to break.
    """
    scaled = total * (1.0 / WEIGHT_ONE)
    if not total.requires_grad:
        return scaled.add_(0.5).floor_().clamp_(0, ACTIVATION_MAX)
    rounded = scaled + (torch.floor(scaled + 0.5) - scaled).detach()
    return rounded.clamp(0, ACTIVATION_MAX)


class IntegerConv(nn.Module):
    """A convolution from integer activations to integer accumulators.

    `weight` and `bias` are kept in natural units (float) while training; `freeze` rounds them in
    place, after which `exact` makes `forward` use the exact evaluation.
    """

    product_weight: Tensor
    product_bias: Tensor

    def __init__(
        self, c_in: int, c_out: int, *, kernel: int = 1, depthwise: bool = False, gain: float = 1.4
    ) -> None:
        """A `kernel` x `kernel` convolution; `gain` scales the initial weights."""
        super().__init__()
        self.depthwise = depthwise
        self.kernel = kernel
        fan_in = kernel * kernel * (1 if depthwise else c_in)
        shape = (c_out, 1 if depthwise else c_in, kernel, kernel)
        self.weight = nn.Parameter(normal(shape, gain / fan_in**0.5))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.exact = False

    def freeze(self) -> None:
        """Round the weights to what a file stores, for good."""
        with torch.no_grad():
            self.weight.copy_((self.weight * WEIGHT_ONE).round().clamp(-32768, 32767) / WEIGHT_ONE)
            self.bias.copy_((self.bias * SUM_ONE).round() / SUM_ONE)
            weight = (self.weight * WEIGHT_ONE).round()
            if self.depthwise:
                weight = weight.flatten(1).T.contiguous()  # [k * k, C]
            else:
                weight = weight.permute(0, 2, 3, 1).flatten(1)  # [c_out, k * k * c_in]
            bias = (self.bias * SUM_ONE).round()
            # as the products take them, once for all; value by value, no setting rounds float32
            kind = torch.float32 if self.depthwise else torch.float64
            self.register_buffer("product_weight", weight.to(kind), persistent=False)
            self.register_buffer("product_bias", bias.to(kind), persistent=False)
        self.exact = True

    def hold(self) -> None:
        """Shrink outputs, before freezing, whose sums could leave what float32 counts exactly.

        Rows drift there that nothing holds: those of channels that are silent at all qualities,
        whose scale cannot be small enough. Still as far out as sums can be, they say the same.
        """
        with torch.no_grad():
            total = self.weight.abs().flatten(1).sum(1) * WEIGHT_ONE * ACTIVATION_MAX
            total += self.bias.abs() * SUM_ONE
            # what was shrunk and rounded before stays as it is: files depend on it
            share = torch.where(total > 0.99 * SUMS_FREE, 0.98 * SUMS_FREE / total, 1.0)
            self.weight.mul_(share[:, None, None, None])
            self.bias.mul_(share)

    def bound(self, max_input: int) -> int:
        """The largest magnitude that any partial sum can reach for inputs up to `max_input`."""
        weight = (self.weight.detach().double() * WEIGHT_ONE).round().abs().flatten(1).sum(1)
        bias = (self.bias.detach().double() * SUM_ONE).round().abs()
        return int((weight * max_input + bias).max())

    def forward(self, x: Tensor) -> Tensor:
        """Integer-valued float [B, c_in, H, W] -> integer-valued float [B, c_out, H, W].

        Zero-padded. When `exact`, every value is an integer; x may be of any dtype that holds it,
        the result is float32.
        """
        if self.exact:
            return self._exact(x)
        weight = round_ste(self.weight * WEIGHT_ONE)
        bias = round_ste(self.bias * SUM_ONE)
        groups = x.shape[1] if self.depthwise else 1
        return F.conv2d(x, weight, padding=self.kernel // 2, groups=groups) + bias[:, None, None]

    def _exact(self, x: Tensor) -> Tensor:
        """The same sums as one matrix product (or nine shifted products), never as a convolution.

        Convolution kernels may transform their input (Winograd, FFT) and would not be exact.
        """
        b, _, h, w = x.shape
        k, pad = self.kernel, self.kernel // 2
        weight, bias = self.product_weight, self.product_bias
        # [B, H, W, C]: products of other layouts are far slower
        rows = x.permute(0, 2, 3, 1).to(weight.dtype, memory_format=torch.contiguous_format)
        if k == 1:
            out = F.linear(rows, weight, bias)
        else:
            padded = F.pad(rows, (0, 0, pad, pad, pad, pad))
            shifted = [padded[:, i : i + h, j : j + w] for i in range(k) for j in range(k)]
            if self.depthwise:
                out = bias.expand(b, h, w, -1).clone()
                for tap, s in zip(weight, shifted, strict=True):
                    out.addcmul_(s, tap)
            else:
                out = F.linear(torch.cat(shifted, -1), weight, bias)
        return out.float().permute(0, 3, 1, 2)


class IntegerNet(nn.Module):
    """A module whose layers are all `IntegerConv`: freezing and proving go through here."""

    def convs(self) -> list[tuple[str, IntegerConv]]:
        """Every integer layer, by name."""
        return [(n, m) for n, m in self.named_modules() if isinstance(m, IntegerConv)]

    def freeze(self) -> None:
        """Round all layers, switch them to exact evaluation, and prove that it is exact.

        Raises:
            OverflowError: some sum could leave the range in which float32 counts exactly.
        """
        for name, conv in self.convs():
            conv.freeze()
            if conv.bound(ACTIVATION_MAX) >= SUMS_FREE:
                raise OverflowError(f"integer layer {name} could exceed 2^24")
        self.requires_grad_(requires_grad=False)


def residual(depthwise: nn.Module, mix: nn.Module, h: Tensor) -> Tensor:
    """Two layers added to their input, of the same shape."""
    return activate(mix(activate(depthwise(h))) + h * WEIGHT_ONE)


def residual_layers(pairs: Iterable[Iterable[nn.Module]], h: Tensor) -> Tensor:
    """One `residual` after the other."""
    for depthwise, mix in pairs:
        h = residual(depthwise, mix, h)
    return h


def residuals(count: int, width: int) -> nn.ModuleList:
    """Pairs of layers for `residual_layers`, which change nothing before they are trained."""
    pairs = []
    for _ in range(count):
        mix = IntegerConv(width, width)
        nn.init.zeros_(mix.weight)
        pairs.append(nn.ModuleList([IntegerConv(width, width, kernel=3, depthwise=True), mix]))
    return nn.ModuleList(pairs)


def spans(sizes: tuple[int, ...]) -> list[slice]:
    """Consecutive slices of the given sizes: (2, 3) -> [0:2, 2:5]."""
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    return [slice(a, b) for a, b in pairwise(ends)]
