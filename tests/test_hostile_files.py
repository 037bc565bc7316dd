"""Whatever the bytes are, the decoder says no in a sentence, soon, and in little memory."""

import time
from pathlib import Path

import pytest
from fuzzing import CORPUS, fuzz, outcome

from sbtcodec.codec.codec import Codec

INPUTS = sorted(CORPUS.glob("*.sbt"))


@pytest.mark.parametrize("path", INPUTS, ids=[p.stem for p in INPUTS])
def test_what_was_found_before_is_still_harmless(codec: Codec, path: Path) -> None:
    for checked in (True, False):
        assert outcome(codec, path.read_bytes(), checked=checked)


def test_the_corpus_is_there() -> None:
    assert len(INPUTS) > 20


def test_a_few_seconds_of_mutations_find_nothing(tiny_codec: Codec) -> None:
    counts, _ = fuzz(tiny_codec, 3.0, seed=int(time.time()) // 86400)
    assert sum(counts.values()) > 20
    assert len(counts) > 5


@pytest.mark.slow
def test_minutes_of_mutations_find_nothing(tiny_codec: Codec) -> None:
    counts, _ = fuzz(tiny_codec, 180.0, seed=int(time.time()))
    assert sum(counts.values()) > 2000
