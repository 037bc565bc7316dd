"""Bands of rows, in which networks go through large pictures."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Generic, TypeVar

from sbtcodec.grid import Box, even_blocks

T = TypeVar("T")
"""Planes [1, C, H, W], of NumPy or torch."""

BAND_LATENTS = 4096  # latents of a band, which should fit the processor's cache
LEAST_ROWS = 6  # of a band, for the sake of what is computed twice around it


def bands(area: Box, halo: int) -> Iterator[tuple[slice, slice]]:
    """Bands of rows to compute from, and the rows of each that are the band's own."""
    height, rows = area.height, max(LEAST_ROWS, BAND_LATENTS // area.width)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        first, last = max(0, start - halo), min(height, stop + halo)
        yield slice(first, last), slice(start - first, stop - first)


def block_rows(area: Box, most: int) -> Iterator[tuple[Box, ...]]:
    """The blocks of `even_blocks`, those of the same rows together."""
    for _, row in groupby(even_blocks(area, most), key=lambda block: block.top):
        yield tuple(row)


class Passing(Generic[T]):
    """Planes of which only a few rows are there at once: made when asked for, then forgotten."""

    def __init__(self, bands: Iterator[T], join: Callable[[Sequence[T]], T]) -> None:
        """Planes of these bands of rows, from the top; `join` puts some together."""
        self._bands, self._join = bands, join
        self._kept: list[T] = []
        self._top = self._bottom = 0

    def part(self, rows: slice, columns: slice) -> T:
        """Some of it; what is above these rows cannot be asked for again."""
        while self._bottom < rows.stop:
            band = next(self._bands)
            self._kept.append(band)
            self._bottom += _height(band)
        while self._top + _height(self._kept[0]) <= rows.start:
            self._top += _height(self._kept.pop(0))
        parts, top = [], self._top
        for band in self._kept:
            inside = slice(max(0, rows.start - top), rows.stop - top)
            parts.append(band[:, :, inside, columns])  # type: ignore[index]
            top += _height(band)
        return self._join([part for part in parts if _height(part)])


def _height(planes: object) -> int:
    height: int = planes.shape[2]  # type: ignore[attr-defined]
    return height
