"""Pictures completed, and damaged tiles concealed: what is kept stays, to the pixel."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.decoder import Decoded
from sbtcodec.codec.light_codec import LightCodec
from sbtcodec.container import Container, describe, pack, unpack
from sbtcodec.errors import ArgumentError, InvalidFileError, ModelMismatchError
from sbtcodec.generation.completion import (
    FEATHER,
    Canvas,
    blended,
    canvas_of,
    completed,
    extended,
)
from sbtcodec.generation.concealment import Concealment
from sbtcodec.generation.generator import Generator
from sbtcodec.grid import Box

QUICK: dict[str, Any] = {"steps": 2, "seed": 3}


@pytest.fixture(scope="module")
def data(tiny_codec: Codec, photo: NDArray[np.uint8]) -> bytes:
    return tiny_codec.compress(photo, 60)


@pytest.fixture(scope="module")
def decoded(tiny_codec: Codec, data: bytes) -> Decoded:
    return tiny_codec.decode(data)


def canvas(codec: Codec, data: bytes, kept: NDArray[np.bool_]) -> Canvas:
    return canvas_of(codec.decode(data).rgb, codec.tokens_of(data), kept)


def test_kept_pixels_and_known_tokens_stay(
    tiny_codec: Codec, generator: Generator, data: bytes, decoded: Decoded
) -> None:
    kept = np.ones(decoded.rgb.shape[:2], np.bool_)
    kept[40:80, 50:90] = False
    given = canvas(tiny_codec, data, kept)
    done = completed(tiny_codec, generator, given, label="church", **QUICK)
    assert np.array_equal(done.rgb[kept], decoded.rgb[kept])
    assert (done.rgb[~kept] != decoded.rgb[~kept]).any()
    assert np.array_equal(done.synthesised, ~kept)
    lost = np.zeros((5, 8), np.bool_)
    lost[1:3, 1:3] = True  # all cells that lost a pixel
    assert np.array_equal(done.known, ~lost)
    assert np.array_equal(done.tokens.levels[~lost], given.tokens.levels[~lost])
    again = completed(tiny_codec, generator, given, label="church", **QUICK)
    assert np.array_equal(again.rgb, done.rgb)
    other = completed(tiny_codec, generator, given, label="church", seed=4, steps=2)
    assert not np.array_equal(other.rgb, done.rgb)


def test_what_is_lost_does_not_count(
    tiny_codec: Codec, generator: Generator, data: bytes, decoded: Decoded
) -> None:
    kept = np.zeros(decoded.rgb.shape[:2], np.bool_)
    kept[:100, :100] = True
    given = canvas(tiny_codec, data, kept)
    rgb, levels, symbols = given.rgb.copy(), given.tokens.levels.copy(), given.tokens.symbols.copy()
    rgb[~kept], levels[~given.known], symbols[8:] = 7, 0, 3
    blind = Canvas(rgb, replace(given.tokens, levels=levels, symbols=symbols), kept, given.shown)
    a, b = (completed(tiny_codec, generator, c, **QUICK) for c in (given, blind))
    assert np.array_equal(a.rgb, b.rgb)


def test_the_right_and_lower_edge_of_a_picture_loses_nothing(
    tiny_codec: Codec, data: bytes
) -> None:
    kept = np.ones((151, 227), np.bool_)
    kept[:10] = False
    known = canvas(tiny_codec, data, kept).known
    assert not known[0].any() and known[1:].all()  # cells of 23 rows and of 3 columns, too


@pytest.mark.parametrize("margins", [(50, 0, 0, 0), (0, 33, 7, 1), (32, 64, 0, 40)])
def test_an_extended_picture_has_the_size_asked_for_and_the_picture_inside(
    tiny_codec: Codec,
    generator: Generator,
    data: bytes,
    decoded: Decoded,
    margins: tuple[int, int, int, int],
) -> None:
    left, top, right, bottom = margins
    own = tiny_codec.tokens_of(data)
    given = extended(decoded.rgb, own, margins)
    done = completed(tiny_codec, generator, given, **QUICK)
    assert done.rgb.shape == (151 + top + bottom, 227 + left + right, 3)
    inside = done.rgb[top : top + 151, left : left + 227]
    assert np.array_equal(inside, decoded.rgb)
    assert not done.synthesised[top : top + 151, left : left + 227].any()
    assert done.synthesised.sum() == done.synthesised.size - 151 * 227
    rows, columns = -(-top // 32), -(-left // 32)
    assert np.array_equal(
        done.tokens.levels[rows : rows + 4, columns : columns + 7], own.levels[:4, :7]
    )
    # a cell that was cut by the edge is whole now, and not known
    assert done.known[rows + 1, columns + 7] == (right == 0)
    assert done.known[rows + 4, columns + 1] == (bottom == 0)


def test_gray_pictures_stay_gray(tiny_codec: Codec, generator: Generator) -> None:
    gray = np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1))
    data = tiny_codec.compress(gray, 60)
    kept = np.ones((64, 96), np.bool_)
    kept[:, 50:] = False
    done = completed(tiny_codec, generator, canvas(tiny_codec, data, kept), **QUICK)
    assert (done.rgb == done.rgb[:, :, :1]).all()
    assert done.tokens.grayscale


def test_a_difference_at_the_border_fades_in_the_drawn_part() -> None:
    kept = np.zeros((60, 100), np.bool_)
    kept[:, :40] = True
    ours = np.full((60, 100, 3), 120, np.uint8)
    made = np.full((60, 100, 3), 80, np.uint8)
    ours[:, 40:] = 255  # what is lost does not shine through
    shown = blended(ours, made, kept)[:, :, 0].astype(int)
    assert (shown[:, :40] == 120).all()
    assert (shown[:, 40 + FEATHER :] == 80).all()
    assert (np.diff(shown, axis=1) <= 0).all() and np.diff(shown, axis=1).min() >= -4
    both = np.concatenate([kept, ~kept])
    assert blended(ours, made, both[:60]).dtype == np.uint8


def test_nothing_to_go_by_and_nothing_to_do_are_refused(
    tiny_codec: Codec, generator: Generator, data: bytes, decoded: Decoded
) -> None:
    none = np.zeros((151, 227), np.bool_)
    none[40:70, 40:90] = True  # wide, but no cell is whole
    with pytest.raises(ArgumentError, match="no cell of 32 x 32 pixels is kept as a whole"):
        completed(tiny_codec, generator, canvas(tiny_codec, data, none), **QUICK)
    with pytest.raises(ArgumentError, match="nothing to complete"):
        completed(tiny_codec, generator, canvas(tiny_codec, data, none | True), **QUICK)
    tokens = tiny_codec.tokens_of(data)
    with pytest.raises(ArgumentError, match="all margins are 0"):
        extended(decoded.rgb, tokens, (0, 0, 0, 0))
    with pytest.raises(ArgumentError, match="sides of at most 16383"):
        extended(decoded.rgb, tokens, (16300, 0, 0, 0))
    with pytest.raises(ArgumentError, match=r"kept is \[3, 3\], expected \[151, 227\]"):
        canvas_of(decoded.rgb, tokens, np.ones((3, 3), np.bool_))


# tiles


@pytest.fixture
def tiled(tiny_codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The photograph in tiles of 4 x 4 tokens: 2 x 2 of them."""
    monkeypatch.setattr("sbtcodec.grid.TOKENS_PER_TILE", 4)
    data = tiny_codec.compress(photo, 60)
    assert len(unpack(data).header.tiles) == 4
    return data


@pytest.fixture
def conceal(generator_weights: Path) -> Concealment:
    return Concealment("cpu", weights=generator_weights)


def damaged(data: bytes, layer: int, *tiles: int) -> bytes:
    """The file with other checks of some tiles of a layer, the base layer being 0."""
    container = unpack(data)
    parts = list(container.layers[layer].parts)
    for tile in tiles:
        check = bytes(b ^ 0x55 for b in parts[tile].check)
        parts[tile] = replace(parts[tile], check=check)
    layers = list(container.layers)
    layers[layer] = replace(layers[layer], parts=tuple(parts))
    return pack(Container(container.header, tuple(layers), container.chunks))


def refusing(*_: object) -> NDArray[np.int64]:
    raise AssertionError("nothing has to be drawn")


def test_a_whole_file_is_decoded_as_ever(tiny_codec: Codec, tiled: bytes) -> None:
    plain, concealed = tiny_codec.decode(tiled), tiny_codec.decode(tiled, conceal=refusing)
    assert np.array_equal(plain.rgb, concealed.rgb)
    assert concealed.notice is None
    assert concealed.layers == plain.layers


def test_damaged_details_of_a_tile_are_predicted_without_a_generator(
    tiny_codec: Codec, tiled: bytes
) -> None:
    bad = damaged(tiled, 2, 1)
    with pytest.raises(InvalidFileError, match="detail layer 2"):
        tiny_codec.decode(bad)
    found = tiny_codec.decode(bad, conceal=refusing)
    assert found.notice == "details are damaged: predicted is 99 x 128 pixels at 128,0"
    assert found.layers == found.declared_layers
    right = tiny_codec.decode(tiled).rgb.astype(int)
    assert np.abs(found.rgb[:, :64] - right[:, :64]).max() <= 1  # far from the tile
    assert (found.rgb[:128, 128:] != right[:128, 128:]).any()
    tokens = tiny_codec.tokens_of(tiled)
    symbols = tokens.symbols.copy()
    later = tiny_codec.release.symbols.config.group_slice(1).start
    symbols[:8, 8:, later:] = 0
    expected = np.asarray(tiny_codec.detokenize(replace(tokens, symbols=symbols))).astype(int)
    assert np.abs(found.rgb - expected).max() <= 1


def test_details_damaged_everywhere_are_left_out_as_with_allow_partial(
    tiny_codec: Codec, tiled: bytes
) -> None:
    bad = damaged(tiled, 3, 0, 1, 2, 3)
    partial = tiny_codec.decode(bad, allow_partial=True)
    found = tiny_codec.decode(bad, conceal=refusing)
    assert found.layers == partial.layers == 2
    assert np.array_equal(found.rgb, partial.rgb)
    assert "predicted is" in (found.notice or "")


def test_damaged_global_tokens_of_a_tile_are_drawn(
    tiny_codec: Codec, tiled: bytes, conceal: Concealment, generator: Generator
) -> None:
    bad = damaged(tiled, 0, 2)
    with pytest.raises(InvalidFileError, match="base layer"):
        tiny_codec.decode(bad, allow_partial=True)
    found = tiny_codec.decode(bad, conceal=conceal)
    notice = "the base layer is damaged: synthesised is 128 x 23 pixels at 0,128"
    assert found.notice == notice
    right = tiny_codec.decode(tiled).rgb
    assert (found.rgb[128:, :128] != right[128:, :128]).any()
    tokens = tiny_codec.tokens_of(tiled)
    known = np.ones(tokens.levels.shape[:2], np.bool_)
    known[4:, :4] = False
    symbols = tokens.symbols.copy()
    symbols[8:, :8] = 0
    levels = generator.complete(tokens, known).levels
    whole = replace(tokens, levels=levels, symbols=symbols)
    assert np.abs(np.asarray(tiny_codec.detokenize(whole)).astype(int) - found.rgb).max() <= 1


def test_what_is_drawn_is_the_same_in_a_part(
    tiny_codec: Codec, tiled: bytes, conceal: Concealment
) -> None:
    bad = damaged(tiled, 0, 2)
    whole = tiny_codec.decode(bad, conceal=conceal).rgb.astype(int)
    part = tiny_codec.decode(bad, conceal=conceal, crop=Box(130, 5, 151, 90)).rgb
    assert np.abs(whole[130:151, 5:90] - part).max() <= 1


def test_the_codec_without_torch_conceals_too(
    tiny_weights: Path, tiny_codec: Codec, tiled: bytes, conceal: Concealment
) -> None:
    pytest.importorskip("onnxruntime")
    bad = damaged(tiled, 0, 3)
    found = LightCodec(tiny_weights).decode(bad, conceal=conceal)
    expected = tiny_codec.decode(bad, conceal=conceal)
    assert found.notice == expected.notice
    assert np.abs(found.rgb.astype(int) - expected.rgb).max() <= 8  # bfloat16 and float32


def test_without_anything_whole_there_is_nothing_to_go_by(
    tiny_codec: Codec, data: bytes, tiled: bytes, conceal: Concealment
) -> None:
    for bad in (damaged(tiled, 0, 0, 1, 2, 3),):
        with pytest.raises(InvalidFileError, match="the base layer is damaged"):
            tiny_codec.decode(bad, conceal=conceal)


def test_a_file_that_was_cut_needs_nothing_else_to_be_concealed(
    tiny_codec: Codec, tiled: bytes
) -> None:
    cut = tiled[: 2 - describe(tiled).layers[-1].present_bytes]
    found = tiny_codec.decode(cut, conceal=refusing)
    assert np.array_equal(found.rgb, tiny_codec.decode(cut, allow_partial=True).rgb)
    assert "cut after detail layer" in (found.notice or "")


def test_a_model_without_a_generator_conceals_no_global_tokens(
    tiny_codec: Codec, tiled: bytes, tiny_weights: Path
) -> None:
    none = Concealment("cpu", weights=tiny_weights)
    with pytest.raises(ModelMismatchError, match="no generator of model 1"):
        tiny_codec.decode(damaged(tiled, 0, 1), conceal=none)
    assert tiny_codec.decode(damaged(tiled, 1, 1), conceal=none).notice
