"""The benchmark of weaves: photographs have none, and what is woven into one is found."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from benchmarks import spectra
from benchmarks.output import dataset_of
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import SbtError


def test_a_weave_is_found_in_the_square_that_has_it() -> None:
    photograph = data.astronaut()[:, :384]
    cosines = np.cos(math.pi / 2 * np.arange(256))
    woven = photograph.astype(float)
    woven[:256, :256] += 20 * (cosines[:, None] * cosines)[:, :, None]
    found = spectra.traces(photograph, woven.round().clip(0, 255).astype(np.uint8))
    assert len(found) == 2
    assert found[0] > 0.02
    assert found[1] == 0


def test_a_table_of_both_looks(codec: Codec, tmp_path: Path) -> None:
    Image.fromarray(data.astronaut()[:256, 100:356]).save(tmp_path / "one.png")
    text = spectra.run(codec, dataset_of(tmp_path))
    rows = [line.split() for line in text.splitlines() if line.startswith(spectra.RATES)]
    assert [row[0] for row in rows] == list(spectra.RATES)
    assert all(float(value) >= 0 for row in rows for value in row[1:])
    assert "Means over 1 squares" in text


def test_pictures_without_a_square_are_refused(codec: Codec, tmp_path: Path) -> None:
    Image.fromarray(data.astronaut()[:200]).save(tmp_path / "flat.png")
    with pytest.raises(SbtError, match="256x256"):
        spectra.run(codec, dataset_of(tmp_path))
