"""The coder: what goes in comes out, at the cost the model assigns, and damage is an error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbtcodec.entropy.coder import DetailTables, LayerDecoder, LayerEncoder
from sbtcodec.entropy.frequencies import TOTAL, from_logits, gaussian_tables, octave_table
from sbtcodec.errors import InvalidFileError

TABLES = DetailTables(gaussian_tables())
OCTAVES = octave_table()


def test_every_table_sums_to_what_the_coder_needs() -> None:
    for table in TABLES.frequencies:
        assert table.sum() + len(table) == TOTAL
        assert (table >= 0).all()
        assert np.array_equal(table, table[::-1])


@given(
    st.integers(2, 12).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(-5000, 5000), min_size=k, max_size=k), min_size=1, max_size=20
        )
    )
)
def test_logits_become_frequencies_that_sum_exactly(rows: list[list[int]]) -> None:
    logits = np.array(rows, dtype=np.int64)
    frequencies = from_logits(logits, OCTAVES)
    assert (frequencies.sum(1) == TOTAL - logits.shape[1]).all()
    assert (frequencies >= 0).all()


def test_a_difference_of_64_is_a_factor_of_two() -> None:
    frequencies = from_logits(np.array([[128, 64, 0]]), OCTAVES)[0]
    assert frequencies[0] / frequencies[1] == pytest.approx(2, rel=1e-5)
    assert frequencies[1] / frequencies[2] == pytest.approx(2, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(0, 300))
def test_symbols_come_back_and_cost_what_the_model_says(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    frequencies = from_logits(rng.integers(-400, 400, (n, 8)), OCTAVES)
    levels = rng.integers(0, 8, n).astype(np.int32)
    indices = rng.integers(0, 64, m).astype(np.uint8)
    wanted = np.rint(rng.normal(0, 30, m)).astype(np.int32)
    encoder = LayerEncoder(TABLES)
    bits = 0.0
    if n:
        encoder.levels(frequencies, levels)
        bits -= np.log2((frequencies[np.arange(n), levels] + 1) / TOTAL).sum()
    q = encoder.details(indices, wanted)
    for i, s in zip(indices, q, strict=True):
        if i:
            table = TABLES.frequencies[i]
            bits -= np.log2((table[s + len(table) // 2] + 1) / TOTAL)
    data = encoder.finish()
    assert len(data) <= bits / 8 * 1.01 + 3
    decoder = LayerDecoder(TABLES, data)
    if n:
        assert np.array_equal(decoder.levels(frequencies), levels)
    assert np.array_equal(decoder.details(indices), q)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_random_bytes_give_symbols_in_range_or_one_kind_of_error(data: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 64, 100).astype(np.uint8)
    try:
        q = LayerDecoder(TABLES, data).details(indices)
    except InvalidFileError:
        return
    assert (np.abs(q) <= TABLES.half_widths[indices]).all()
    assert (q[indices == 0] == 0).all()


def test_golden_bytes_of_the_coder() -> None:
    encoder = LayerEncoder(TABLES)
    encoder.details(np.arange(9, 60, dtype=np.uint8), np.arange(51, dtype=np.int32) % 7 - 3)
    assert encoder.finish().hex() == GOLDEN


GOLDEN = "00000100000809678310842932ba77356074a13574c3eb4642bbe1a180675dcf82df0beb6f"
