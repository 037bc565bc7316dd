"""Random draws by integers: the same from the same logits on any machine, but for rounding.

Networks compute in floats, whose last digits differ between machines. So logits are rounded to
1/256 of a nat before anything is decided by them, and what decides is integers: a number of
Philox, a counter-based generator that NumPy specifies, and cumulative integer weights. Two machines
disagree only where a logit lies within its own error of a rounding boundary.
"""

import numpy as np
from numpy.typing import NDArray

UNIT = 256  # steps of a nat
WEIGHT_ONE = 2**24  # the weight of the likeliest level
FLOOR = 16 * UNIT  # nats below the likeliest, in steps, that are never drawn

# integers once and for all: what exp is to a machine's library in the last digit does not matter
_WEIGHTS = np.round(WEIGHT_ONE * np.exp(-np.arange(FLOOR + 1) / UNIT)).astype(np.int64)
_WEIGHTS[-1] = 0


class Draws:
    """Random numbers of one picture: from the seed and its number alone."""

    def __init__(self, seed: int, number: int) -> None:
        """`seed` from 0, `number` of the picture among those of the seed."""
        self.rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, number))))

    def uniform(self, count: int) -> NDArray[np.int64]:
        """Whole numbers below 2^32, int64 [count]."""
        found: NDArray[np.int64] = self.rng.integers(0, 2**32, count, dtype=np.int64)
        return found


def steps_of(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """Logits as steps below the likeliest: int64 [n, K], 0 to FLOOR."""
    below = np.rint((logits.max(1, keepdims=True) - logits).astype(np.float64) * UNIT)
    steps: NDArray[np.int64] = np.minimum(below, FLOOR).astype(np.int64)
    return steps


def drawn(
    steps: NDArray[np.int64], uniform: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a level of each row.

    Args:
        steps: as `steps_of` gives them, int64 [n, K].
        uniform: int64 [n], whole numbers below 2^32.

    Returns:
        The levels, int64 [n], and minus the logarithm of their probability, in steps, int64 [n].
    """
    cumulative = _WEIGHTS[steps].cumsum(1)
    total = cumulative[:, -1]
    at = (uniform * total) >> 32  # below 2^32 * 2^24 * K: fits
    levels = (at[:, None] >= cumulative).sum(1)
    chosen = np.take_along_axis(steps, levels[:, None], 1)[:, 0]
    # of whole numbers below 2^53, whose logarithm is right to far less than a step
    normaliser = np.rint(UNIT * np.log(total / WEIGHT_ONE)).astype(np.int64)
    return levels, chosen + normaliser
