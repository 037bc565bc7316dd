"""Small functions of tensors that float and integer networks need alike."""

from typing import Any

import torch
from torch import Tensor


def normal(shape: tuple[int, ...], scale: float) -> Tensor:
    """Normal numbers of standard deviation `scale`, on the default device.

    On the meta device, where networks are built whose weights are there already, nothing is
    computed: torch imports its compiler for that, which takes seconds.
    """
    weights = torch.empty(shape)
    return weights if weights.is_meta else torch.randn(shape) * scale


def round_ste(x: Tensor) -> Tensor:
    """Round, with the gradient of the identity (Bengio et al., arXiv 1308.3432)."""
    rounded: Tensor = _Rounding.apply(x)  # type: ignore[no-untyped-call]
    return rounded


def held(x: Tensor, factor: float) -> Tensor:
    """The same tensor, whose gradient of no item of the batch is far above the others'.

    Args:
        x: float of any shape, [B, ...].
        factor: largest norm of an item's gradient, relative to the median of the batch.
    """
    same: Tensor = _Holding.apply(x, factor)  # type: ignore[no-untyped-call]
    return same


class _Holding(torch.autograd.Function):
    """What `held` does: a batch learns from all of its items, not from the one that shouts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:  # noqa: ANN401
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        norms = g.flatten(1).float().norm(dim=1)
        largest = ctx.factor * norms.sort().values[len(norms) // 2]
        share = (largest / norms.clamp_min(1e-30)).clamp_max(1).to(g.dtype)
        return g * share.view(-1, *[1] * (g.ndim - 1)), None


class _Rounding(torch.autograd.Function):
    """Rounding that passes gradients on: one operation, not three that bring it about."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        return x.round()

    @staticmethod
    def backward(_: Any, g: Tensor) -> Tensor:  # noqa: ANN401
        return g
