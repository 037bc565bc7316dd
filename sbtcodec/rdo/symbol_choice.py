"""Which detail symbols are sent: the nearest, or the next ones nearer to zero where bits are dear.

What entropy-constrained quantisation does (Sullivan, IEEE Trans. Inf. Theory 42, 1996), and video
encoders after it. It pays where the networks were trained with it: to others a zero says more.
"""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.coder import DetailTables, Indices, Symbols
from sbtcodec.entropy.entropy_parameters import MAX_SYMBOL, TABLES
from sbtcodec.entropy.frequencies import TOTAL

UNSEEN_COST = 40.0  # bits of a symbol outside of its table, which the coder clamps


def symbol_costs(tables: DetailTables) -> NDArray[np.float32]:
    """Bits of the symbols 0..MAX_SYMBOL under each table: [tables, MAX_SYMBOL + 1]."""
    costs = np.full((len(tables.frequencies), MAX_SYMBOL + 1), UNSEEN_COST, dtype=np.float32)
    for row, table in zip(costs, tables.frequencies, strict=True):
        m = len(table) // 2
        row[: m + 1] = -np.log2((table[m:] + 1) / TOTAL)
    costs[::TABLES, 0] = 0  # symbols of the least scale are not sent
    return costs


def chosen_symbols(
    residual: NDArray[np.float32],
    indices: Indices,
    costs: NDArray[np.float32],
    bit_weight: float,
) -> Symbols:
    """The symbols that are sent for residuals.

    Args:
        residual: what there is to send, in steps, [n].
        indices: the tables, [n].
        costs: of `symbol_costs`.
        bit_weight: squared steps that a bit is worth; 0 for the nearest symbols.

    Returns:
        int32 [n], within MAX_SYMBOL.
    """
    nearest = np.rint(np.clip(residual, -MAX_SYMBOL, MAX_SYMBOL)).astype(np.int32)
    if not bit_weight:
        return nearest
    some = np.flatnonzero(nearest)
    q, r, tables = nearest[some], residual[some], indices[some]
    less = q - np.sign(q)
    error = (r - q) ** 2 - (r - less) ** 2
    bits = costs[tables, np.abs(q)] - costs[tables, np.abs(less)]
    nearest[some] = np.where(error + bit_weight * bits > 0, less, q)
    return nearest
