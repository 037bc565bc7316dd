"""Pixels of a box that may reach beyond a picture's last row and column."""

import numpy as np
from numpy.typing import NDArray

from sbtcodec.grid import Box


def pixels_in(rgb: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """The pixels of a box that may reach beyond the last row and column, which are then repeated.

    Repeating the edge adds no step that would have to be coded.

    Args:
        rgb: uint8 [H, W, 3].
        box: in pixels, with its upper left corner inside the picture.

    Returns:
        uint8 [box.height, box.width, 3], a view where the box is inside.
    """
    inside = rgb[box.rows, box.columns]
    below, right = box.height - inside.shape[0], box.width - inside.shape[1]
    if below == 0 and right == 0:
        return inside
    return np.pad(inside, ((0, below), (0, right), (0, 0)), mode="edge")
