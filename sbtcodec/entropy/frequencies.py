"""Integer frequencies: tables for detail symbols, and logits turned into frequencies.

The coder works with probabilities in units of 2^-24 and adds one unit to every symbol. So the
frequencies of K symbols sum to 2^24 - K here, and the coder's own scaling is by exactly 1.
Everything a decoder does here is integer arithmetic on shipped integers; only `gaussian_tables`
and `octave_table`, which run once when a model is exported, use floating point.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.units import LOGITS_PER_OCTAVE, MAX_SYMBOL, SCALE_MIN, SCALE_STEP, TABLES

TOTAL = 2**24
OCTAVES = 20

Frequencies = NDArray[np.int64]


def half_width(scale: float) -> int:
    """Largest symbol of the table of `scale`: eight scales and one, at most MAX_SYMBOL."""
    return min(MAX_SYMBOL, math.ceil(8 * scale) + 1)


def normalise(weights: NDArray[np.float64]) -> Frequencies:
    """Non-negative weights [K] to integers that sum to 2^24 - K."""
    budget = TOTAL - len(weights)
    scaled: Frequencies = np.floor(weights / weights.sum() * budget).astype(np.int64)
    scaled[int(np.argmax(scaled))] += budget - int(scaled.sum())
    return scaled


def gaussian_tables(shapes: int = 1) -> list[Frequencies]:
    """One table per scale, again for each shape: unit intervals of zero-mean normals, -M..M."""
    tables = []
    for index in range(TABLES):
        scale = SCALE_MIN * math.exp(SCALE_STEP * index)
        m = half_width(scale)
        edges = (np.arange(-m, m + 2) - 0.5) / (scale * math.sqrt(2))
        cdf = np.array([math.erf(e) for e in edges])
        tables.append(normalise(np.diff(cdf)))
    return shapes * tables


def octave_table() -> Frequencies:
    """2^20 * 2^(-i / 64), rounded, for i = 0 .. 64 * 20."""
    i = np.arange(OCTAVES * LOGITS_PER_OCTAVE + 1)
    table: Frequencies = np.round(2.0 ** (OCTAVES - i / LOGITS_PER_OCTAVE)).astype(np.int64)
    return table


def from_logits(logits: Frequencies, octaves: Frequencies) -> Frequencies:
    """Integer logits [n, K] to frequencies [n, K], each row summing to 2^24 - K.

    Args:
        logits: int64, a difference of 64 is a factor of two.
        octaves: the shipped `octave_table`.
    """
    below = np.minimum(logits.max(1, keepdims=True) - logits, len(octaves) - 1)
    weights = octaves[below]
    budget = TOTAL - logits.shape[1]
    frequencies: Frequencies = weights * budget // weights.sum(1, keepdims=True)
    rows = np.arange(len(logits))
    frequencies[rows, weights.argmax(1)] += budget - frequencies.sum(1)
    return frequencies
