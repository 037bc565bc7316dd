"""Boxes on grids: blocks cover an area once, halos stay inside, edges are repeated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data as photographs

from sbtcodec.grid import Box, blocks, even_blocks, tiles_of, tokens_of
from sbtcodec.image.padding import pixels_in

numbers = st.integers(0, 40)
boxes = st.builds(lambda t, l, h, w: Box(t, l, t + h, l + w), numbers, numbers, numbers, numbers)


@pytest.mark.parametrize("cut", [blocks, even_blocks])
@given(boxes, st.integers(1, 20))
def test_blocks_cover_an_area_once(cut, area, side):
    covered = np.zeros((100, 100), int)
    for block in cut(area, side):
        assert 0 < block.height <= side
        assert 0 < block.width <= side
        covered[block.rows, block.columns] += 1
    expected = np.zeros((100, 100), int)
    expected[area.rows, area.columns] = 1
    assert np.array_equal(covered, expected)


def test_even_blocks_leave_no_sliver():
    sides = [block.width for block in even_blocks(Box(0, 0, 1, 49), 48)]
    assert sides == [25, 24]


@pytest.mark.parametrize("cut", [blocks, even_blocks])
def test_blocks_of_nothing_are_refused(cut):
    with pytest.raises(ValueError, match="cannot cut"):
        list(cut(Box(0, 0, 1, 1), 0))


@given(boxes, boxes)
def test_a_cut_is_in_both_and_empty_if_they_do_not_meet(a, b):
    rows = set(range(a.top, a.bottom)) & set(range(b.top, b.bottom))
    columns = set(range(a.left, a.right)) & set(range(b.left, b.right))
    both = a.cut(b)
    assert both.empty == (not rows or not columns)
    if not both.empty:
        assert (set(range(both.top, both.bottom)), len(rows)) == (rows, both.height)
        assert (set(range(both.left, both.right)), len(columns)) == (columns, both.width)


@given(boxes, st.integers(1, 8))
def test_coarser_grids_cover_what_finer_ones_hold(box, factor):
    coarse = box.over(factor).times(factor)
    assert coarse.cut(box) == box
    assert box.times(factor).over(factor) == box


def test_a_margin_stays_inside():
    whole = Box(0, 0, 10, 20)
    assert Box(2, 3, 4, 5).grown(3, whole) == Box(0, 0, 7, 8)
    assert Box(2, 3, 4, 5).grown(100, whole) == whole
    assert Box(12, 13, 14, 15).seen_from(Box(10, 10, 20, 20)) == Box(2, 3, 4, 5)


def test_tiles_are_1024_pixels_and_what_remains():
    assert tokens_of(33, 1) == Box(0, 0, 1, 2)
    assert tiles_of(1024, 1024) == (Box(0, 0, 32, 32),)
    assert tiles_of(1025, 1) == (Box(0, 0, 1, 32), Box(0, 32, 1, 33))
    assert len(tiles_of(16383, 16383)) == 256


def test_pixels_beyond_the_edge_repeat_it():
    photo = photographs.astronaut()[:50, :70]
    inside = pixels_in(photo, Box(10, 20, 50, 70))
    assert inside.base is not None
    assert np.array_equal(inside, photo[10:, 20:])
    beyond = pixels_in(photo, Box(32, 64, 64, 96))
    assert beyond.shape == (32, 32, 3)
    assert np.array_equal(beyond[:18, :6], photo[32:, 64:])
    assert (beyond[18:] == beyond[17]).all()
    assert (beyond[:, 6:] == beyond[:, 5:6]).all()
