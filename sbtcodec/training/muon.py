"""Muon (Jordan et al., 2024), for matrices: momentum made orthogonal before it is applied.

The same update as `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"`, but matrices of one
shape go through the Newton-Schulz iteration together, which halves its cost on a CPU; and of
several processes each does it for some of the matrices, and tells the others.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sbtcodec.runtime.precision import fast_bf16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(matrices: Tensor, steps: int) -> Tensor:
    """Approximately the nearest semi-orthogonal matrices.

    Args:
        matrices: float32 [n, rows, columns], rows <= columns.
        steps: Newton-Schulz iterations.

    Returns:
        the same shape; bfloat16 where that is faster.
    """
    a, b, c = COEFFICIENTS
    x: Tensor = matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    if fast_bf16(x.device.type):
        x = x.bfloat16()
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def all_orthogonal(matrices: Sequence[Tensor], steps: int) -> list[Tensor]:
    """`orthogonal` of matrices float32 [rows, columns], rows <= columns; those of a shape at once.

    Of several processes, each computes some and has the others' from them: all have the same.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return _orthogonal_by_shape(matrices, steps)
    world, rank = dist.get_world_size(), dist.get_rank()
    owners = _owners(matrices, world)
    lots = [[m for m, o in zip(matrices, owners, strict=True) if o == r] for r in range(world)]
    sizes = [[m.numel() for m in lot] for lot in lots]
    device = matrices[0].device
    kind = torch.bfloat16 if fast_bf16(device.type) else torch.float32
    own = torch.zeros(max(map(sum, sizes)), dtype=kind, device=device)
    if lots[rank]:
        made = [t.flatten() for t in _orthogonal_by_shape(lots[rank], steps)]
        own[: sum(sizes[rank])] = torch.cat(made)
    every = [torch.empty_like(own) for _ in range(world)]
    # as bytes, which all backends can send
    dist.all_gather([t.view(torch.uint8) for t in every], own.view(torch.uint8))
    parts = [iter(torch.split(t[: sum(n)], n)) for t, n in zip(every, sizes, strict=True)]
    return [next(parts[o]).view(m.shape) for m, o in zip(matrices, owners, strict=True)]


def _owners(matrices: Sequence[Tensor], count: int) -> list[int]:
    """Which of `count` processes does each matrix: the dearest first, to whom has least to do."""
    costs = [m.shape[0] ** 2 * m.shape[1] for m in matrices]
    owners, load = [0] * len(costs), [0] * count
    for i in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        owners[i] = load.index(min(load))
        load[owners[i]] += costs[i]
    return owners


def _orthogonal_by_shape(matrices: Sequence[Tensor], steps: int) -> list[Tensor]:
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, m in enumerate(matrices):
        alike.setdefault(tuple(m.shape), []).append(i)
    made: dict[int, Tensor] = {}
    for members in alike.values():
        found = orthogonal(torch.stack([matrices[i] for i in members]), steps)
        made.update(zip(members, found, strict=True))
    return [made[i] for i in range(len(matrices))]


class Muon(torch.optim.Optimizer):
    """Muon over 2-D parameters; step sizes are those of AdamW (Liu et al., arXiv 2502.16982)."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float | Tensor,
        *,
        momentum: float = 0.95,
        steps: int = 4,
    ) -> None:
        """Optimise `parameters`, each a matrix.

        A rate that is a tensor on their device is never read by the host.
        """
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "steps": steps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ANN401
        """Apply one update; `closure` is not supported.

        Several processes have the same gradients, and all apply it at the same time.
        """
        assert closure is None
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            if not moving:
                continue
            for p in moving:
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            buffers = [self.state[p]["momentum_buffer"] for p in moving]
            gradients = [p.grad for p in moving]
            torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
            updates = torch._foreach_lerp(gradients, buffers, group["momentum"])  # Nesterov
            wide = [u if u.shape[0] <= u.shape[1] else u.mT for u in updates]
            made = all_orthogonal(wide, group["steps"])
            moves = []
            for p, t in zip(moving, made, strict=True):
                size = 0.2 * max(p.shape) ** 0.5  # the root mean square of AdamW's steps
                step = t.to(torch.float32) * (group["lr"] * -size)
                moves.append(step if p.shape[0] <= p.shape[1] else step.mT)
            torch._foreach_add_(moving, moves)
