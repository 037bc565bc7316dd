"""From a quality code 0..255 to step sizes: a position between learned anchors of the gains.

Gains (1 / step size, per channel) are learned at a few anchor qualities, log-linear in the trade of
rate for distortion. A code is a position on that scale, in 64ths of the distance between anchors,
computed by integers alone: straight lines through three points, so that quality 50 is where people
expect it. The gains of a released model are in `Release.gains`, of one in training in
`Tokenizer.log_gains_at`.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE, SCALE_STEP, SUMS_PER_INDEX

CODES = 256
# (code, sixths of the way from the lowest to the highest anchor)
POINTS = ((0, 0), (26, 1), (128, 4), (255, 6))
WHOLE = 6


def position(code: int, anchors: int) -> int:
    """Position of a code, 0..64 * (anchors - 1), rising with the code."""
    end = ANCHOR_WEIGHT_ONE * (anchors - 1)
    for (first, low), (last, high) in pairwise(POINTS):
        if code <= last:
            start, stop = end * low // WHOLE, end * high // WHOLE
            return start + (code - first) * (stop - start) // (last - first)
    return end


def integer_anchor_weights(code: int, anchors: int) -> list[int]:
    """Weights of the anchors in 64ths: of the two around the code's position, 0 elsewhere."""
    low, fraction = divmod(position(code, anchors), ANCHOR_WEIGHT_ONE)
    anchor_weights = [0] * anchors
    anchor_weights[low] = ANCHOR_WEIGHT_ONE - fraction
    if fraction:
        anchor_weights[low + 1] = fraction
    return anchor_weights


def log_gains_of(gain_offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The inverse, of the integers that a release has: nats; the step size is exp(-log gain)."""
    nats: NDArray[np.float64] = gain_offsets * np.float64(SCALE_STEP / SUMS_PER_INDEX)
    return nats
