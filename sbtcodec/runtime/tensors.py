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


class _Rounding(torch.autograd.Function):
    """Rounding that passes gradients on: one operation, not three that bring it about."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        return x.round()

    @staticmethod
    def backward(_: Any, g: Tensor) -> Tensor:  # noqa: ANN401
        return g
