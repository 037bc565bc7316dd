"""Tokens as data: out of a file, through a `.npz`, and back into the same picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.tokens import Tokens
from sbtcodec.errors import InvalidFileError, OutputError


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
