"""Which global tokens the predictor's attention puts into which windows, and their positions.

Windows of odd layers are shifted by half a window. Places of a window beyond the grid are masked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sbtcodec.light.weights import Floats
from sbtcodec.tokenizer.config import WINDOW


@dataclass(frozen=True)
class Windows:
    """A grid of h x w global tokens as n windows of s places.

    Attributes:
        tokens: int64 [n, s], the token at each place, counted row by row; 0 where none is.
        places: int64 [h * w], the place of each token, counted window by window.
        mask: float32 [n, 1, 1, s], 0 where a token is, minus infinity elsewhere.
        cos: float32 [s, width / 2], of the rotary positions of a head that is so wide.
        sin: as `cos`.
    """

    tokens: NDArray[np.int64]
    places: NDArray[np.int64]
    mask: Floats
    cos: Floats
    sin: Floats


def windows(height: int, width: int, *, shifted: bool, head_width: int) -> Windows:
    """The windows of a grid; one that lies inside a single window gets that without its rest."""
    shift = WINDOW // 2 if shifted else 0
    rows, columns = np.arange(height) + shift, np.arange(width) + shift
    cos, sin = _rotations(head_width)
    if rows[-1] < WINDOW and columns[-1] < WINDOW:
        at = (rows[:, None] * WINDOW + columns).reshape(-1)
        own = np.arange(height * width)
        return Windows(own[None], own, np.zeros((1, 1, 1, len(own)), np.float32), cos[at], sin[at])
    across = -(-(width + shift) // WINDOW)
    down = -(-(height + shift) // WINDOW)
    window = rows[:, None] // WINDOW * across + columns // WINDOW
    inside = rows[:, None] % WINDOW * WINDOW + columns % WINDOW
    places = (window * WINDOW**2 + inside).reshape(-1)
    tokens = np.zeros(down * across * WINDOW**2, np.int64)
    tokens[places] = np.arange(height * width)
    mask = np.full(len(tokens), -np.inf, np.float32)
    mask[places] = 0
    size = WINDOW**2
    return Windows(tokens.reshape(-1, size), places, mask.reshape(-1, 1, 1, size), cos, sin)


def _rotations(width: int) -> tuple[Floats, Floats]:
    """Cosines and sines of all places of a window: float32 [WINDOW * WINDOW, width / 2] each."""
    quarter = width // 4
    order = np.arange(quarter, dtype=np.float32) / np.float32(max(1, quarter - 1))
    frequency = np.float32(1) / np.float32(2 * np.pi) ** order
    row, column = (place.reshape(-1, 1) for place in np.indices((WINDOW, WINDOW), np.float32))
    angle = np.concatenate([row * frequency, column * frequency], 1)
    return np.cos(angle), np.sin(angle)
