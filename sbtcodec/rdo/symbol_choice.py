"""Which detail symbols are sent: the nearest, or the next ones nearer to zero where bits are dear.

What entropy-constrained quantisation does (Sullivan, IEEE Trans. Inf. Theory 42, 1996), and video
encoders after it. It pays where the networks were trained with it: to others a zero says more.
"""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.coder import Indices, Symbols
from sbtcodec.entropy.units import MAX_SYMBOL


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
        costs: bits of symbols, as `DetailTables.costs` has them.
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
