"""Losses of features of a VGG trunk: place by place, and of their statistics over windows.

The first asks what is where. The second asks only how much of it there is about a place, and how it
varies: of what a file cannot say, that much can be right (Ding et al., arXiv 2004.07728; Freeman et
al., Wasserstein distortion, arXiv 2310.03629). Gradients are written out: automatic ones read and
write the large maps of the first blocks three times as often, and that is what takes the time.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sbtcodec.models.vgg_trunk import MEAN_BGR, after_blocks, read_trunk
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import pixel_rows

SHORTEST = 1e-3  # length of features that is taken for none; in 0..255 they are about 100 long
WINDOW = 16  # pixels of the side of the windows whose statistics are compared
RARE = 0.1  # share of the mean of all channels by which a channel is taken for livelier
STEADY = 1e-2  # share of a channel's mean square by which its variance is taken for larger


class VggFeatures:
    """Features of a trunk, with gradients of the pixels.

    Attributes:
        channels: of its blocks.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        """Read a trunk; it runs in bfloat16 where that is fast.

        Raises:
            SbtError: the file is missing or holds none.
        """
        self.dtype = torch.bfloat16 if fast_bf16(device.type) else torch.float32
        self.blocks = [
            [(weight.to(self.dtype), bias.to(self.dtype)) for weight, bias in block]
            for block in read_trunk(path, device)
        ]
        self.channels = [block[-1][1].numel() for block in self.blocks]
        self.mean = torch.tensor(MEAN_BGR, device=device).view(1, 3, 1, 1)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Features after each block, as they are.

        Args:
            x: float32 [B, 3, H, W] in [0, 1].

        Returns:
            float [B, C, H / 2^b, W / 2^b] for each block b, channels last.
        """
        pixels = (x.flip(1) * 255 - self.mean).to(self.dtype)
        return after_blocks(self.blocks, pixel_rows(pixels))


def feature_distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """The distance of `VggDistance`, of features of a batch; has gradients of `found`."""
    parts = [_Distance.apply(a, b) for a, b in zip(found, wanted, strict=True)]  # type: ignore[no-untyped-call]
    return torch.stack(parts).mean()


def texture_distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """How far means and deviations over windows of WINDOW pixels are apart, in each picture.

    The squared differences of both, relative to the mean square of each channel in what is wanted:
    0 for the same statistics, about 1 for features that are not there.

    Args:
        found: features of what was made, as of `VggFeatures`; has gradients of these.
        wanted: of the photographs, of the same shapes, sides multiples of WINDOW pixels.

    Returns:
        float32 [B].
    """
    parts = [
        _statistics_apart(a, b, WINDOW >> index)
        for index, (a, b) in enumerate(zip(found, wanted, strict=True))
    ]
    return torch.stack(parts).mean(0)


def _statistics_apart(a: Tensor, b: Tensor, side: int) -> Tensor:
    (mean_a, square_a), (mean_b, square_b) = (_Moments.apply(h, side) for h in (a, b))  # type: ignore[no-untyped-call]
    typical = square_b.mean((0, 2, 3), keepdim=True)
    typical = typical + RARE * typical.mean() + SHORTEST
    steady = STEADY * typical
    deviation_a, deviation_b = (
        (square - mean.square()).clamp_min(0).add(steady).sqrt()
        for mean, square in ((mean_a, square_a), (mean_b, square_b))
    )
    apart = (mean_a - mean_b).square() + (deviation_a - deviation_b).square()
    mean: Tensor = (apart / typical).mean((1, 2, 3))
    return mean


class _Distance(torch.autograd.Function):
    """Mean over places of the squared distance of two vectors, each divided by its length."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:  # noqa: ANN401
        dot = torch.linalg.vecdot(*(h.permute(0, 2, 3, 1) for h in (a, b))).unsqueeze(1)
        short_a, short_b = (
            1
            / torch.linalg.vector_norm(h, dim=1, keepdim=True, dtype=torch.float32).clamp_min(
                SHORTEST
            )
            for h in (a, b)
        )
        cosine = dot * short_a * short_b
        ctx.save_for_backward(a, b, short_a, short_b, cosine)
        distance: Tensor = 2 * (1 - cosine.mean())
        return distance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        a, b, short_a, short_b, cosine = ctx.saved_tensors
        scale = 2 * gradient / cosine.numel()
        of_a = (scale * cosine * short_a.square()).to(a.dtype)
        of_b = (scale * short_a * short_b).to(a.dtype)
        return (a * of_a).addcmul_(b, of_b, value=-1), None


class _Moments(torch.autograd.Function):
    """Means over squares of `side` places of float [B, C, H, W], and of its squares: float32."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, side: int) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        ctx.save_for_backward(h)
        ctx.side = side
        return F.avg_pool2d(h, side).float(), F.avg_pool2d(h.square(), side).float()

    @staticmethod
    def backward(ctx: Any, of_mean: Tensor, of_square: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (h,) = ctx.saved_tensors
        side, share = ctx.side, 1 / ctx.side**2
        rows = h.permute(0, 2, 3, 1)
        squares = rows.unflatten(2, (-1, side)).unflatten(1, (-1, side))
        of_mean, of_square = (
            (g * factor).to(h.dtype).permute(0, 2, 3, 1)[:, :, None, :, None]
            for g, factor in ((of_mean, share), (of_square, 2 * share))
        )
        made = torch.addcmul(of_mean, of_square, squares)
        return made.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2), None
