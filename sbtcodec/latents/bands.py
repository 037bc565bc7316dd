"""Bands of rows, in which refinements go through large pictures."""

from collections.abc import Iterator

from sbtcodec.grid import Box

BAND_LATENTS = 4096  # latents of a band, which should fit the processor's cache
LEAST_ROWS = 6  # of a band, for the sake of what is computed twice around it


def bands(area: Box, halo: int) -> Iterator[tuple[slice, slice]]:
    """Bands of rows to compute from, and the rows of each that are the band's own."""
    height, rows = area.height, max(LEAST_ROWS, BAND_LATENTS // area.width)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        first, last = max(0, start - halo), min(height, stop + halo)
        yield slice(first, last), slice(start - first, stop - first)
