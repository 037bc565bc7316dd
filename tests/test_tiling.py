"""Padding and strips: whole cells, nothing lost, the same result as without strips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data as photographs

from sbtcodec.image.tiles import Strip, crop, pad_to_multiple, strips


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 2, 32]))
def test_crop_inverts_padding(height, width, multiple):
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    padded = pad_to_multiple(rgb, multiple)
    assert padded.dtype == np.uint8
    assert padded.shape[0] % multiple == padded.shape[1] % multiple == 0
    assert padded.shape[0] - height < multiple
    assert padded.shape[1] - width < multiple
    assert np.array_equal(crop(padded, height, width), rgb)
    assert (padded[height:] == padded[height - 1]).all()
    assert (padded[:, width:] == padded[:, width - 1 : width]).all()


def test_whole_cells_are_not_copied():
    photo = photographs.astronaut()
    assert pad_to_multiple(photo) is photo


@pytest.mark.parametrize("shape", [(1, 4000), (300, 300)])
def test_padding_stays_within_a_cell(shape):
    padded = pad_to_multiple(np.zeros((*shape, 3), np.uint8))
    assert padded.shape == tuple(-(-side // 32) * 32 for side in shape) + (3,)


def test_strips_are_these():
    assert list(strips(10, 4, 1)) == [Strip(0, 4, 0, 5), Strip(4, 8, 3, 9), Strip(8, 10, 7, 10)]
    assert list(strips(0, 4, 1)) == []
    assert Strip(4, 8, 3, 9).inside == slice(1, 5)


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 5))
def test_a_filter_over_strips_equals_the_filter_over_all_rows(n_rows, rows_per_strip, halo):
    def blur(rows):
        padded = np.pad(rows, (halo, halo))
        return sum(padded[i : i + len(rows)] for i in range(2 * halo + 1))

    rows = np.arange(n_rows) ** 2
    parts = [
        blur(rows[strip.halo_start : strip.halo_stop])[strip.inside]
        for strip in strips(n_rows, rows_per_strip, halo)
    ]
    assert np.array_equal(np.concatenate([rows[:0], *parts]), blur(rows))


@pytest.mark.parametrize(
    "call",
    [
        lambda: strips(-1, 1, 0),
        lambda: strips(1, 0, 0),
        lambda: strips(1, 1, -1),
        lambda: pad_to_multiple(np.zeros((2, 2, 3), np.uint8), 0),
        lambda: pad_to_multiple(np.zeros((0, 2, 3), np.uint8)),
        lambda: crop(np.zeros((2, 2, 3), np.uint8), 3, 2),
        lambda: crop(np.zeros((2, 2, 3), np.uint8), 0, 2),
    ],
)
def test_impossible_sizes_are_refused_at_once(call):
    with pytest.raises(ValueError, match="cannot cut|expected"):
        call()
