"""Tokens as data: out of a file, through a `.npz`, and back into the same picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.tokens import Tokens
from sbtcodec.errors import ArgumentError, InvalidFileError, ModelMismatchError, OutputError


def test_tokens_are_those_of_the_file_and_give_its_picture(
    codec: Codec, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    data = codec.compress(photo, quality=35)
    tokens = codec.tokens_of(data)
    h, w = -(-photo.shape[0] // 32), -(-photo.shape[1] // 32)
    assert tokens.levels.shape == (h, w, 8)
    assert tokens.symbols.shape == (2 * h, 2 * w, codec.tokenizer.config.local_channels)
    assert (tokens.levels < np.array(codec.tokenizer.config.levels)).all()
    assert np.abs(tokens.symbols).max() > 0
    tokens.save(tmp_path / "t.npz")
    again = Tokens.load(tmp_path / "t.npz")
    assert np.array_equal(again.symbols, tokens.symbols)
    picture = np.asarray(codec.detokenize(again)).astype(int)
    assert np.abs(picture - codec.decode(data).rgb).max() <= 1


def test_tiles_make_one_grid_of_tokens(
    tiny_codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny_codec.tokenize(photo, 60)
    monkeypatch.setattr("sbtcodec.grid.TOKENS_PER_TILE", 2)
    tiled = tiny_codec.tokenize(photo, 60)
    assert np.array_equal(whole.levels, tiled.levels)
    data = tiny_codec.compress(photo, 60)
    picture = np.asarray(tiny_codec.detokenize(tiled)).astype(int)
    assert np.abs(picture - tiny_codec.decode(data).rgb).max() <= 1


def test_changed_tokens_give_another_picture(tiny_codec: Codec, photo: NDArray[np.uint8]) -> None:
    tokens = tiny_codec.tokenize(photo, globals_only=True)
    assert tokens.detail_layers == 0
    assert not tokens.symbols.any()
    other = replace(tokens, levels=np.zeros_like(tokens.levels))
    before, after = tiny_codec.detokenize(tokens), tiny_codec.detokenize(other)
    assert before.size == after.size == (photo.shape[1], photo.shape[0])
    assert not np.array_equal(np.asarray(before), np.asarray(after))


def test_tokens_that_do_not_fit_are_refused(tiny_codec: Codec, photo: NDArray[np.uint8]) -> None:
    tokens = tiny_codec.tokenize(photo)
    with pytest.raises(ValueError, match="levels is"):
        replace(tokens, levels=tokens.levels[1:])
    with pytest.raises(ValueError, match="symbols is"):
        replace(tokens, symbols=tokens.symbols.astype(np.int32))
    with pytest.raises(ValueError, match="quality"):
        replace(tokens, quality=256)
    with pytest.raises(ValueError, match="beyond"):
        tiny_codec.detokenize(replace(tokens, levels=tokens.levels | 128))
    with pytest.raises(ValueError, match="dimensions"):
        tiny_codec.detokenize(replace(tokens, symbols=tokens.symbols[:, :, 1:]))


def test_files_without_tokens_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 cut")
    np.savez(tmp_path / "other.npz", levels=np.zeros(3))
    for name in ("missing.npz", "bad.npz", "other.npz"):
        with pytest.raises(InvalidFileError, match=name):
            Tokens.load(tmp_path / name)


def test_saving_replaces_nothing_unasked(
    tiny_codec: Codec, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    tokens = tiny_codec.tokenize(photo[:40, :40])
    tokens.save(tmp_path / "t.npz")
    with pytest.raises(OutputError, match="exists"):
        tokens.save(tmp_path / "t.npz")
    tokens.save(tmp_path / "t.npz", force=True)


@pytest.mark.parametrize("globals_only", [False, True])
def test_tokens_go_back_into_the_file_that_they_came_from(tiny_codec, photo, globals_only):
    data = tiny_codec.compress(photo, 70, globals_only=globals_only)
    assert tiny_codec.compress_tokens(tiny_codec.tokens_of(data)) == data
    gray = tiny_codec.compress(photo[:, :, 0], 30, globals_only=globals_only)
    assert tiny_codec.compress_tokens(tiny_codec.tokens_of(gray)) == gray


def test_tokens_of_several_tiles_go_back_into_the_file(tiny_codec, photo, monkeypatch):
    monkeypatch.setattr("sbtcodec.grid.TOKENS_PER_TILE", 3)
    data = tiny_codec.compress(photo, 60)
    tokens = tiny_codec.tokens_of(data)
    assert tiny_codec.compress_tokens(tokens) == data
    fewer = replace(tokens, detail_layers=1)
    shorter = tiny_codec.compress_tokens(fewer)
    assert len(shorter) < len(data)
    found = tiny_codec.tokens_of(shorter)
    kept = tiny_codec.release.symbols.config.group_slice(0)
    assert np.array_equal(found.symbols[:, :, kept], tokens.symbols[:, :, kept])
    assert not np.delete(found.symbols, range(kept.start, kept.stop), 2).any()


def test_tokens_that_no_file_can_hold_are_refused(tiny_codec, photo):
    tokens = tiny_codec.tokenize(photo, 60)
    with pytest.raises(ArgumentError, match="expected sbtcodec.Tokens"):
        tiny_codec.compress_tokens(tokens.levels)
    with pytest.raises(ArgumentError, match="levels reach beyond"):
        tiny_codec.compress_tokens(replace(tokens, levels=tokens.levels + np.uint8(200)))
    with pytest.raises(ArgumentError, match="detail_layers is 7"):
        tiny_codec.compress_tokens(replace(tokens, detail_layers=7))
    with pytest.raises(ModelMismatchError):
        tiny_codec.compress_tokens(replace(tokens, model=200))
    with pytest.raises(ArgumentError, match="steps large, more than files can hold"):
        tiny_codec.compress_tokens(replace(tokens, symbols=tokens.symbols + np.int16(32000)))
