"""Padding to whole cells and cutting into strips; what is computed on them is left to others.

Letters: `H`, `W` the rows and columns of an image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Strip:
    """Rows `start:stop` to compute, and rows `halo_start:halo_stop` to compute them from.

    halo_start   start           stop   halo_stop
        |- halo -|---- strip ----|- halo -|
    """

    start: int
    stop: int
    halo_start: int
    halo_stop: int

    @property
    def inside(self) -> slice:
        """Where the strip's own rows are among the rows with halo."""
        return slice(self.start - self.halo_start, self.stop - self.halo_start)


def pad_to_multiple(rgb: NDArray[np.uint8], multiple: int = 32) -> NDArray[np.uint8]:
    """Repeat the last row and column until both sides are multiples of `multiple`.

    Takes uint8 [H, W, 3] with H, W >= 1, returns uint8 [H', W', 3] with H' >= H, W' >= W: the input
    itself if nothing is to be added. `crop` is the inverse.

    Raises `ValueError` for an empty image or a `multiple` below 1.
    """
    if multiple < 1:
        raise ValueError(f"multiple is {multiple}, expected at least 1")
    height, width = rgb.shape[:2]
    if height == 0 or width == 0:
        raise ValueError(f"the image is {width} x {height} pixels, expected at least 1 x 1")
    below, right = -height % multiple, -width % multiple
    if below == 0 and right == 0:
        return rgb
    # Repeating the edge adds no step that would have to be coded.
    return np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="edge")


def crop(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return the upper left `height` x `width` pixels of a uint8 [H, W, 3], as a view.

    Raises `ValueError` if the image is smaller than that.
    """
    if not (1 <= height <= rgb.shape[0] and 1 <= width <= rgb.shape[1]):
        raise ValueError(
            f"cannot cut {width} x {height} pixels out of {rgb.shape[1]} x {rgb.shape[0]}"
        )
    return rgb[:height, :width]


def strips(n_rows: int, rows_per_strip: int, halo: int) -> Iterator[Strip]:
    """Cut rows `0:n_rows` into strips of `rows_per_strip`, the last one being what remains.

    The halo ends at the first and last row, where a convolution pads as it does for the whole.

    Raises `ValueError` for negative `n_rows` or `halo`, or a `rows_per_strip` below 1.
    """
    if n_rows < 0 or rows_per_strip < 1 or halo < 0:
        raise ValueError(
            f"cannot cut {n_rows} rows into strips of {rows_per_strip} with a halo of {halo}"
        )
    starts = range(0, n_rows, rows_per_strip)
    stops = (min(start + rows_per_strip, n_rows) for start in starts)
    return (
        Strip(start, stop, max(0, start - halo), min(n_rows, stop + halo))
        for start, stop in zip(starts, stops, strict=True)
    )
