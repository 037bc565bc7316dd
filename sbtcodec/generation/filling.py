"""Windows filled: unknown tokens drawn given those that are known.

Masked order: some of the unknown tokens are drawn in each round, given those known by then, with
the schedule of MaskGIT (Chang et al., arXiv 2202.04200, section 3.2). Which ones is left to chance.
MaskGIT keeps those that are surest; of tokens of millions of values these are the likely ones and
not the typical ones, and pictures became flat: four times as far from photographs.
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
    """

    steps: int = STEPS
    guidance: float = GUIDANCE


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
            wanted = np.zeros_like(known)
            for i, draw in enumerate(draws):
                open_ = np.flatnonzero(~known[i])
                if len(open_):  # at least one is drawn in each round
                    count = max(1, len(open_) - int(rest[i]))
                    order = np.argsort(draw.uniform(len(open_)), kind="stable")
                    wanted[i, open_[order[:count]]] = True
            levels[wanted] = self._drawn(levels, known, wanted, draws)
            known |= wanted
        return levels

    def _in_raster_order(
        self, levels: Levels, known: NDArray[np.bool_], draws: list[Draws]
    ) -> Levels:
        levels = levels.copy()
        for at in range(WINDOW):
            only = np.zeros_like(known)
            only[:, at] = ~known[:, at]
            if only.any():
                levels[only] = self._drawn(levels, known, only, draws)
        return levels

    def _drawn(
        self,
        levels: Levels,
        known: NDArray[np.bool_],
        wanted: NDArray[np.bool_],
        draws: list[Draws],
    ) -> Levels:
        """Draw each of the m tokens wanted by itself, given those known: int64 [m, dims]."""
        device = self.model.positions.device
        shown, places = (torch.from_numpy(t).to(device) for t in (known, wanted))
        values = torch.from_numpy(levels).to(device)
        features = []
        for label in self.labels:
            labels = torch.full((len(levels),), label, device=device)
            features.append(self.model(values, shown, labels)[places])
        return drawn_tokens(self.model.head, features, wanted.sum(1), draws, self.sampling.guidance)


def drawn_tokens(
    head: TokenHead,
    features: list[Tensor],
    counts: NDArray[np.int64],
    draws: list[Draws],
    guidance: float,
) -> Levels:
    """Draw tokens, dimension by dimension.

    Args:
        head: gives the distributions.
        features: float [m, D] of the tokens under the class and, if it is guided, under any.
        counts: int64 [n], tokens of each picture, m in all.
        draws: of each picture.
        guidance: as in `Sampling`.

    Returns:
        Levels int64 [m, dims].
    """
    sums = [head.sums(f) for f in features]
    dims = len(head.levels)
    made = np.zeros((int(counts.sum()), dims), np.int64)
    for d in range(dims):
        logits = [head.of_dimension(d, s).float() for s in sums]
        mixed = logits[0]
        if len(logits) > 1:
            each = [torch.log_softmax(x, 1) for x in logits]
            mixed = each[0] + guidance * (each[0] - each[1])
        uniform = np.concatenate(
            [one.uniform(int(c)) for one, c in zip(draws, counts, strict=True)]
        )
        made[:, d], _ = drawn(steps_of(mixed.cpu().numpy()), uniform)
        if d < dims - 1:
            seen = head.before(d, torch.from_numpy(made[:, d]).to(sums[0].device))
            sums = [s + seen for s in sums]
    return made
