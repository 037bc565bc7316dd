"""What a quality code 0..255 means: a position between learned anchors.

Gains (1 / step size, per channel) are learned at a few anchor qualities, log-linear in the trade of
rate for distortion. A code is a position on that scale, in 64ths of the distance between anchors,
computed by integers alone: straight lines through three points, so that quality 50 is where people
expect it.
"""

from itertools import pairwise

ANCHOR_WEIGHT_ONE = 64  # one, in anchor_weights
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
