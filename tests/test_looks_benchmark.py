"""The benchmark of looks: what it compares, and what it keeps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from trunks import trunk

from benchmarks import look_sheets, looks
from benchmarks.output import dataset_of
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import ModelMismatchError


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> looks.Work:
    folder = tmp_path_factory.mktemp("measured")
    save_file(trunk(), folder / "trunk.safetensors")
    return looks.Work(folder / "trunk.safetensors", folder, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    Image.fromarray(data.astronaut()[:288, 130:418]).save(folder / "astronaut.png")
    Image.fromarray(data.coffee()[100:388, 150:438]).save(folder / "coffee.png")
    return folder


@pytest.fixture
def _tiny(look_codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_codec", lambda: look_codec)
    monkeypatch.setattr(looks, "RATES", ("globals", "30"))


def test_patches_are_those_side_by_side_and_those_shifted_by_half():
    rgb = np.arange(512 * 768, dtype=np.uint32).reshape(512, 768, 1).repeat(3, 2)
    squares = looks.patches(rgb)
    assert len(squares) == 6 + 2
    assert all(s.shape == (256, 256, 3) for s in squares)
    assert squares[5][0, 0, 0] == 256 * 768 + 512
    assert squares[6][0, 0, 0] == 128 * 768 + 128
    assert looks.patches(rgb[:200]) == []


def test_a_shift_of_colour_counts_and_fine_noise_does_not():
    rgb = data.astronaut()[:256, :256]
    noise = np.random.default_rng(0).integers(-12, 13, rgb.shape)
    noisy = (rgb + noise).clip(0, 255).astype(np.uint8)
    shifted = (rgb.astype(int) + (12, 0, -12)).clip(0, 255).astype(np.uint8)
    assert looks.colour_difference(rgb, rgb) == 0
    assert looks.colour_difference(rgb, shifted) > 4 * looks.colour_difference(rgb, noisy)


@pytest.mark.usefixtures("_tiny")
def test_all_four_are_measured_at_equal_bytes_and_kept(
    work: looks.Work, folder: Path, look_codec: Codec
):
    dataset = dataset_of(folder)
    for path in dataset.paths:
        looks.measure(work, path, vision=False)
    kept = sorted(work.kept.glob("*.npz"))
    assert len(kept) == 2 * 2 * 4
    times = [path.stat().st_mtime_ns for path in kept]
    looks.measure(work, dataset.paths[0], vision=False)
    assert [path.stat().st_mtime_ns for path in kept] == times
    for rate in looks.RATES:
        found = {
            name: looks.Found(looks.kept_at(work, look_codec, dataset.paths[0], rate, name)).scores
            for name in looks.CODECS
        }
        assert found["vivid"]["bytes"] == found["faithful"]["bytes"]
        assert found["vivid"]["VGG"] != found["faithful"]["VGG"]
        assert found["AVIF"]["bytes"] <= found["faithful"]["bytes"]
    text = looks.report(work, dataset, look_codec, 0)
    assert "globals, vivid" in text and "30, WebP" in text
    assert text.count("nan") >= 8  # too few patches for a Frechet distance


def test_a_blind_sheet_tells_nothing_and_its_key_all(look_codec: Codec, folder: Path):
    dataset = dataset_of(folder)
    sheet, key = look_sheets.blind(look_codec, dataset, "30", 1)
    other, other_key = look_sheets.blind(look_codec, dataset, "30", 2)
    lines = [text.splitlines()[1:] for text in (key, other_key)]
    assert all(line.split()[-1] in "AB" for line in lines[0])
    assert lines[0] != lines[1] and not np.array_equal(sheet, other)
    again, same_key = look_sheets.blind(look_codec, dataset, "30", 1)
    assert np.array_equal(sheet, again) and key == same_key


def test_a_sheet_has_a_row_of_four_for_each_picture(look_codec: Codec, folder: Path):
    sheet = look_sheets.compared(look_codec, dataset_of(folder), ["astronaut", "coffee"], "globals")
    assert sheet.shape[0] > 2 * look_sheets.SIDE and sheet.shape[1] > 4 * look_sheets.SIDE


def test_a_model_without_a_look_is_told(tiny_codec: Codec, work: looks.Work, folder: Path):
    path = dataset_of(folder).paths[0]
    with pytest.raises(ModelMismatchError, match="no vivid look"):
        looks.kept_at(work, tiny_codec, path, "globals", "vivid")
