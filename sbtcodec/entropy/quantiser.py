"""Choosing detail symbols: rounding, weighed against what each symbol costs.

Rounding a residual to the nearest symbol is best for the error alone. A symbol one nearer to zero
is often so much cheaper that error and rate together are better: the encoder's choice, of which the
decoder need not know.
"""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.coder import DetailTables, Indices, Symbols
from sbtcodec.entropy.detail import MAX_SYMBOL
from sbtcodec.entropy.frequencies import TOTAL

RATE_WEIGHT = 0.1
"""Squared steps that one bit is worth. High-resolution theory (dD/dR of a uniform quantiser with
step 1) gives ln 2 / 6 = 0.116; chosen on validation photographs."""


class Quantiser:
    """Residuals in steps to symbols, under given tables."""

    def __init__(self, tables: DetailTables, rate_weight: float = RATE_WEIGHT) -> None:
        """Tabulate the cost of every magnitude under every table.

        Args:
            tables: the shipped distributions.
            rate_weight: squared steps that one bit is worth; 0 rounds to the nearest.
        """
        self.half_widths = tables.half_widths
        self.rate_weight = rate_weight
        costs = np.full((len(tables.frequencies), MAX_SYMBOL + 1), 24.0, dtype=np.float32)
        for table, frequencies in enumerate(tables.frequencies):
            upper = frequencies[len(frequencies) // 2 :]
            costs[table, : len(upper)] = -np.log2((upper + 1) / TOTAL)
        self.costs: NDArray[np.float32] = (costs * rate_weight).reshape(-1)

    def __call__(self, residual: NDArray[np.float32], indices: Indices) -> Symbols:
        """Symbols int32 [n] for residuals float32 [n] under tables uint8 [n].

        Table 0 is not coded: its symbols are 0.
        """
        magnitude = np.abs(residual)
        limit = np.where(indices > 0, self.half_widths[indices], 0)
        far = np.minimum(np.rint(magnitude).astype(np.int32), limit)
        near = np.maximum(far - 1, 0)
        row = indices.astype(np.int32) * (MAX_SYMBOL + 1)
        gain = (magnitude - far) ** 2 - (magnitude - near) ** 2
        gain += self.costs[row + far] - self.costs[row + near]
        chosen = np.where(gain > 0, near, far)
        q: Symbols = np.where(residual < 0, -chosen, chosen).astype(np.int32)
        return q
