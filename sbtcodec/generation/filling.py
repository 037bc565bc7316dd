"""Windows filled: unknown tokens drawn given those that are known.

Masked order: all unknown tokens are drawn at once, those that are surest are kept, and the rest is
drawn again given these, in some rounds (MaskGIT, Chang et al., arXiv 2202.04200, section 3.2).
Autoregressive order: one token after the other.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.generation.config import AUTOREGRESSIVE, GUIDANCE, STEPS, WINDOW
from sbtcodec.generation.draws import Draws, drawn, steps_of
from sbtcodec.generation.token_head import TokenHead
from sbtcodec.generation.transformer import Transformer

Levels = NDArray[np.int64]


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        steps: rounds of the masked order.
        guidance: how far distributions are moved from those of any picture towards those of the
            class: 0 for the class as it was learned (Ho and Salimans, arXiv 2207.12598).
        noise: how much chance there is in which tokens are kept first; it falls to 0 with the
            rounds.
    """

    steps: int = STEPS
    guidance: float = GUIDANCE
    noise: float = 4.5


class Filler:
    """Fills windows of one class with one transformer."""

    def __init__(self, model: Transformer, label: int, sampling: Sampling) -> None:
        """`label` is a number of `GeneratorConfig.labels`."""
        self.model, self.sampling = model, sampling
        guided = sampling.guidance > 0 and label != model.config.any
        self.labels = [label, model.config.any] if guided else [label]

    def fill(self, levels: Levels, known: NDArray[np.bool_], draws: list[Draws]) -> Levels:
        """Fill windows.

        Args:
            levels: int64 [n, 64, dims]; what is unknown does not count, but has to be levels.
            known: bool [n, 64].
            draws: of each picture.

        Returns:
            int64 [n, 64, dims]; what was known is as it was.
        """
        if self.model.config.order == AUTOREGRESSIVE:
            return self._in_raster_order(levels, known, draws)
        return self._in_rounds(levels, known, draws)

    def _in_rounds(self, levels: Levels, known: NDArray[np.bool_], draws: list[Draws]) -> Levels:
        levels, known = levels.copy(), known.copy()
        unknown = (~known).sum(1)
        rounds = self.sampling.steps
        for number in range(1, rounds + 1):
            rest = (unknown * math.cos(math.pi / 2 * number / rounds)).astype(np.int64)
            if number == rounds:
                rest[:] = 0
            if not (~known).any():
                break
            made, nats = self._drawn(levels, known, draws)
            noise = self.sampling.noise * (1 - number / rounds)
            for i, draw in enumerate(draws):
                open_ = np.flatnonzero(~known[i])
                if not len(open_):
                    continue
                unsure = nats[i, open_] - np.rint(noise * draw.gumbel(len(open_))).astype(np.int64)
                # at least one is kept in each round
                count = max(1, len(open_) - int(rest[i]))
                kept = open_[np.argsort(unsure, kind="stable")[:count]]
                levels[i, kept], known[i, kept] = made[i, kept], True
        return levels

    def _in_raster_order(
        self, levels: Levels, known: NDArray[np.bool_], draws: list[Draws]
    ) -> Levels:
        levels = levels.copy()
        for at in range(WINDOW):
            only = np.zeros_like(known)
            only[:, at] = ~known[:, at]
            if only.any():
                made, _ = self._drawn(levels, ~only, draws)
                levels[only] = made[only]
        return levels

    def _drawn(
        self, levels: Levels, known: NDArray[np.bool_], draws: list[Draws]
    ) -> tuple[Levels, NDArray[np.int64]]:
        """Draw each unknown token by itself: int64 [n, 64, dims], and nats in steps [n, 64]."""
        features, unknown = self._features(levels, known), ~known
        whole, costs = np.zeros_like(levels), np.zeros(known.shape, np.int64)
        whole[unknown], costs[unknown] = drawn_tokens(
            self.model.head, features, unknown.sum(1), draws, self.sampling.guidance
        )
        return whole, costs

    def _features(self, levels: Levels, known: NDArray[np.bool_]) -> list[Tensor]:
        """Features of the unknown tokens, float [m, D], for each label."""
        device = self.model.positions.device
        shown = torch.from_numpy(known).to(device)
        values = torch.from_numpy(levels).to(device)
        found = []
        for label in self.labels:
            labels = torch.full((len(levels),), label, device=device)
            found.append(self.model(values, shown, labels)[~shown])
        return found


def drawn_tokens(
    head: TokenHead,
    features: list[Tensor],
    counts: NDArray[np.int64],
    draws: list[Draws],
    guidance: float,
) -> tuple[Levels, NDArray[np.int64]]:
    """Draw tokens, dimension by dimension.

    Args:
        head: gives the distributions.
        features: float [m, D] of the tokens under the class and, if it is guided, under any.
        counts: int64 [n], tokens of each picture, m in all.
        draws: of each picture.
        guidance: as in `Sampling`.

    Returns:
        Levels int64 [m, dims], and nats in steps, int64 [m].
    """
    sums = [head.sums(f) for f in features]
    dims = len(head.levels)
    made = np.zeros((int(counts.sum()), dims), np.int64)
    nats = np.zeros(len(made), np.int64)
    for d in range(dims):
        logits = [head.of_dimension(d, s).float() for s in sums]
        mixed = logits[0]
        if len(logits) > 1:
            each = [torch.log_softmax(x, 1) for x in logits]
            mixed = each[0] + guidance * (each[0] - each[1])
        uniform = np.concatenate(
            [one.uniform(int(c)) for one, c in zip(draws, counts, strict=True)]
        )
        made[:, d], cost = drawn(steps_of(mixed.cpu().numpy()), uniform)
        nats += cost
        if d < dims - 1:
            seen = head.before(d, torch.from_numpy(made[:, d]).to(sums[0].device))
            sums = [s + seen for s in sums]
    return made, nats
