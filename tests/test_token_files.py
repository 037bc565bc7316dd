"""Token files as hostile input: tokens or one kind of error, soon, and in little memory."""

import io
import json
import os
import resource
import struct
import time
import zipfile

import numpy as np
import pytest
from fuzzing_tokens import fuzz, members, packed

from sbtcodec.codec.tokens import Tokens
from sbtcodec.codec.tokens_file import MAX_CHANNELS, MAX_DIMS
from sbtcodec.errors import ArgumentError, InvalidFileError


@pytest.fixture
def tokens(tiny_codec, photo):
    return tiny_codec.tokenize(photo[:70, :40], 60)


@pytest.fixture
def path(tokens, tmp_path):
    tokens.save(tmp_path / "t.npz")
    return tmp_path / "t.npz"


def arrays_of(path):
    with np.load(path) as arrays:
        return dict(arrays)


def rewrite(path, **changed):
    np.savez(path, **(arrays_of(path) | changed))


def with_about(path, **changed):
    about = json.loads(str(arrays_of(path)["about"])) | changed
    rewrite(path, about=np.array(json.dumps(about)))


def assert_refused(path, message):
    with pytest.raises(InvalidFileError, match=message) as caught:
        Tokens.load(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_was_saved_is_read_again_in_any_form(path, tokens):
    plain = arrays_of(path)
    turned = {name: np.asfortranarray(plain[name]) for name in ("levels", "symbols")}
    for save in (np.savez, np.savez_compressed):
        for arrays in (plain, plain | turned):
            save(path, **arrays)
            found = Tokens.load(path)
            assert np.array_equal(found.levels, tokens.levels)
            assert np.array_equal(found.symbols, tokens.symbols)
            assert found.symbols.flags.c_contiguous
            assert (found.width, found.height, found.quality) == (40, 70, tokens.quality)
            assert (found.model, found.grayscale) == (1, False)


def test_numbers_of_numpy_are_saved(tokens, tmp_path):
    fields = vars(tokens) | {"width": np.int64(40), "grayscale": np.True_}
    Tokens(**fields).save(tmp_path / "t.npz")
    assert Tokens.load(tmp_path / "t.npz").grayscale is True


@pytest.mark.parametrize("seed", range(3))
def test_damage_is_refused(path, seed):
    data, random = path.read_bytes(), np.random.default_rng(seed)
    for _ in range(100):
        damaged = bytearray(data)
        damaged[random.integers(len(data))] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            Tokens.load(path)
        except InvalidFileError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused(path, part):
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    assert_refused(path, "does not hold tokens")


@pytest.mark.parametrize(
    "changed",
    [
        {"width": True},
        {"width": 40.0},
        {"width": "40"},
        {"width": 0},
        {"height": 16384},
        {"height": 10**30},
        {"quality": 256},
        {"quality": None},
        {"quality": float("nan")},
        {"detail_layers": 99},
        {"model": 0},
        {"model": [1]},
        {"grayscale": 0},
        {"grayscale": None},
        {"format": 2},
        {"more": 1},
    ],
    ids=str,
)
def test_fields_of_a_wrong_type_or_range_are_refused(path, changed):
    with_about(path, **changed)
    assert_refused(path, "expected|other fields|is no number|something else")


def test_missing_and_repeated_fields_are_refused(path):
    about = json.loads(str(arrays_of(path)["about"]))
    rewrite(path, about=np.array(json.dumps({k: v for k, v in about.items() if k != "model"})))
    assert_refused(path, "other fields")
    rewrite(path, about=np.array(json.dumps(about).replace("{", '{"width": 40, ')))
    assert_refused(path, "stands there twice")


@pytest.mark.parametrize("text", ["", "[]", "3", "[" * 4000, "1" * 4000, "x" * 5000])
def test_what_is_no_json_of_fields_is_refused(path, text):
    rewrite(path, about=np.array(text))
    assert_refused(path, "about")


@pytest.mark.parametrize(
    "changed",
    [
        {"levels": np.zeros((3, 2, 8), np.int16)},
        {"levels": np.zeros((3, 2), np.uint8)},
        {"levels": np.zeros((3, 2, 0), np.uint8)},
        {"levels": np.zeros((3, 2, MAX_DIMS + 1), np.uint8)},
        {"levels": np.zeros((2, 3, 8), np.uint8)},
        {"symbols": np.zeros((6, 4, 160), ">i2")},
        {"symbols": np.zeros((6, 4, MAX_CHANNELS + 1), np.int16)},
        {"symbols": np.zeros((6, 5, 160), np.int16)},
        {"symbols": np.array([[None]])},
        {"about": np.array(["a", "b"])},
        {"about": np.array(3)},
        {"about": np.array(None)},
        {"more": np.zeros(1)},
    ],
    ids=lambda changed: " ".join(f"{k} {v.dtype} {v.shape}" for k, v in changed.items()),
)
def test_other_arrays_are_refused(path, changed):
    rewrite(path, **changed)
    assert_refused(path, "expected|unreadable header")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_other_members_are_refused(path):
    content = members(path.read_bytes())
    for wrong in (content[1:], [*content, content[0]], [*content, ("a/../b", b"")], []):
        path.write_bytes(packed(wrong, zipfile.ZIP_DEFLATED))
        assert_refused(path, "arrays, expected about, levels, symbols")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_compression_are_refused(path, method):
    path.write_bytes(packed(members(path.read_bytes()), method))
    assert_refused(path, f"compressed by method {method}, expected 0 or 8")


def test_encrypted_members_are_refused(path):
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert_refused(path, "is encrypted")


def test_folders_pipes_and_other_files_are_refused(path, tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for other in (tmp_path / "pipe.npz", tmp_path):
        assert_refused(other, "not a regular file")
    assert_refused(tmp_path / "none.npz", "does not exist")
    np.save(path.open("wb"), np.zeros(3))
    assert_refused(path, "not a zip file")


def test_too_many_pixels_are_refused_before_arrays_are_looked_at(path):
    assert Tokens.load(path, max_pixels=2800).width == 40
    with pytest.raises(InvalidFileError, match=r"40 x 70 pixels.*raise max_pixels"):
        Tokens.load(path, max_pixels=2799)
    for limit in (0, None, 1.5):
        with pytest.raises(ArgumentError, match="max_pixels"):
            Tokens.load(path, max_pixels=limit)


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def member(descr, shape, fill):
    """An array of a shape, with other bytes than it should have."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + fill


def test_bombs_are_not_inflated(path):
    """Arrays of many megabytes: what is said of them does not fit, so none is touched."""
    about = dict(members(path.read_bytes()))["about.npy"]
    levels = dict(members(path.read_bytes()))["levels.npy"]
    fill = bytes(2**26)
    for symbols in (
        member("<i2", (6, 4, 160), fill),
        member("<i2", (6, 4, 2**24), fill),
        member("<i2", (2**20, 2**20, 160), fill),
    ):
        path.write_bytes(
            packed(
                [("about.npy", about), ("levels.npy", levels), ("symbols.npy", symbols)],
                zipfile.ZIP_DEFLATED,
            )
        )
        made = memory()
        assert_refused(path, "symbols")
        assert memory() - made < 2**24


def test_a_directory_of_any_size_is_not_read(path):
    content = [(f"{n:060}", b"") for n in range(2000)]
    path.write_bytes(packed(content, zipfile.ZIP_STORED))
    assert_refused(path, "directory is far too large")


def test_sizes_that_only_the_directory_claims_take_no_memory(path):
    data = bytearray(path.read_bytes())
    for entry in range(3):
        at = [i for i in range(len(data)) if data[i : i + 4] == b"PK\x01\x02"][entry]
        data[at + 24 : at + 28] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    before = memory()
    assert_refused(path, "expected")
    assert memory() - before < 2**24


def test_archives_written_in_another_order_are_read(path):
    content = members(path.read_bytes())
    path.write_bytes(packed(content[::-1], zipfile.ZIP_STORED))
    assert Tokens.load(path).width == 40
    buffer = io.BytesIO(b"before" + path.read_bytes())  # as of a program that unpacks itself
    path.write_bytes(buffer.getvalue())
    assert Tokens.load(path).width == 40


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_few_seconds_of_mutations_find_nothing(tiny_codec):
    counts = fuzz(tiny_codec, 3.0, seed=int(time.time()) // 86400)
    assert sum(counts.values()) > 100
    assert len(counts) > 20
    assert counts["picture"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.slow
def test_minutes_of_mutations_find_nothing(tiny_codec):
    counts = fuzz(tiny_codec, 120.0, seed=int(time.time()))
    assert sum(counts.values()) > 5000
