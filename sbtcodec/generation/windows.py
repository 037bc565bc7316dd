"""Grids of any size, filled through overlapping windows of 8x8 tokens.

Windows lie half a window apart. The one with the most known tokens is filled next, so that a
picture grows from what is there, and each new token has seen those around it: no seams.
"""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.generation.config import SIDE, WINDOW
from sbtcodec.generation.draws import Draws
from sbtcodec.generation.filling import Filler

STRIDE = SIDE // 2


def starts(length: int) -> list[int]:
    """Where windows begin along a side of `length` tokens, so that they cover it."""
    last = max(0, length - SIDE)
    return sorted({*range(0, last, STRIDE), last})


def filled(
    filler: Filler, levels: NDArray[np.int64], known: NDArray[np.bool_], draws: list[Draws]
) -> NDArray[np.int64]:
    """Draw all tokens of grids that are not known.

    Args:
        filler: with the transformer.
        levels: int64 [n, h, w, dims].
        known: bool [h, w], the same in all of the grids.
        draws: of each grid.

    Returns:
        int64 [n, h, w, dims].
    """
    n, h, w, dims = levels.shape
    # a side shorter than a window is filled as part of one, and what is beyond is dropped
    height, width = max(h, SIDE), max(w, SIDE)
    grid = np.zeros((n, height, width, dims), np.int64)
    grid[:, :h, :w] = levels
    have = np.zeros((height, width), bool)
    have[:h, :w] = known
    inside = np.zeros((height, width), bool)
    inside[:h, :w] = True
    corners = [(top, left) for top in starts(height) for left in starts(width)]
    while True:
        open_ = [
            (int(have[t : t + SIDE, x : x + SIDE].sum()), -i, t, x)
            for i, (t, x) in enumerate(corners)
            if (inside & ~have)[t : t + SIDE, x : x + SIDE].any()
        ]
        if not open_:
            return grid[:, :h, :w]
        _, _, top, left = max(open_)
        rows, columns = slice(top, top + SIDE), slice(left, left + SIDE)
        shown = np.broadcast_to(have[rows, columns].reshape(WINDOW), (n, WINDOW))
        window = grid[:, rows, columns].reshape(n, WINDOW, dims)
        grid[:, rows, columns] = filler.fill(window, shown, draws).reshape(n, SIDE, SIDE, dims)
        have[rows, columns] = True
