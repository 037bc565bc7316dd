"""Files of a size, a rate or a score that was asked for, and files that more effort went into."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from costs import bits_per_pixel, errors
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.rate_control import compress_to_bpp, compress_to_score, compress_to_size
from sbtcodec.container import unpack
from sbtcodec.errors import ImageError, RateError
from sbtcodec.evaluation.metrics import ms_ssim, psnr
from sbtcodec.rdo import token_search
from sbtcodec.tokenizer.config import STEPS_ALONE, STEPS_BEFORE_DETAILS

CODES = np.arange(256) * (100 / 255)


@pytest.fixture(scope="module")
def small(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(photo[:90, :120])


@pytest.mark.parametrize("max_bytes", [60, 300, 1500])
def test_a_file_is_never_above_its_size_and_the_next_quality_would_be(
    codec: Codec, small: NDArray[np.uint8], max_bytes: int
) -> None:
    found = compress_to_size(codec, small, max_bytes)
    assert len(found.data) == found.reached <= max_bytes
    assert found.tried < 16
    assert codec.decode(found.data).rgb.shape == small.shape
    code = -1 if found.quality is None else round(found.quality * 2.55)
    if code >= 0:
        assert found.data == codec.compress(small, found.quality)
    assert len(codec.compress(small, float(CODES[code + 1]))) > max_bytes


def test_a_size_with_room_for_everything_gives_the_best_quality(
    tiny_codec: Codec, small: NDArray[np.uint8]
) -> None:
    assert compress_to_size(tiny_codec, small, 10**9).quality == 100


def test_a_size_that_cannot_be_is_refused_with_the_smallest_that_can(
    codec: Codec, small: NDArray[np.uint8]
) -> None:
    smallest = len(codec.compress(small, globals_only=True))
    with pytest.raises(RateError, match=f"{smallest} bytes"):
        compress_to_size(codec, small, smallest - 1)
    found = compress_to_size(codec, small, smallest)
    assert len(found.data) <= smallest


def test_bits_per_pixel_are_kept(codec: Codec, small: NDArray[np.uint8]) -> None:
    found = compress_to_bpp(codec, small, 0.5)
    assert found.reached == pytest.approx(8 * len(found.data) / (90 * 120))
    assert 0.45 < found.reached <= 0.5
    with pytest.raises(ValueError, match="positive"):
        compress_to_bpp(codec, small, 0)


def test_a_score_is_reached_by_the_decoded_picture_and_not_by_the_quality_below(
    codec: Codec, small: NDArray[np.uint8]
) -> None:
    found = compress_to_score(codec, small, psnr, 28.0)
    assert found.quality is not None
    assert psnr(small, codec.decode(found.data).rgb) == found.reached >= 28.0
    below = codec.compress(small, float(CODES[round(found.quality * 2.55) - 1]))
    assert psnr(small, codec.decode(below).rgb) < 28.0


def test_a_score_out_of_reach_is_refused_with_the_best(
    codec: Codec, small: NDArray[np.uint8]
) -> None:
    best = psnr(small, codec.decode(codec.compress(small, 100)).rgb)
    with pytest.raises(RateError, match=f"{best:.5g}"):
        compress_to_score(codec, small, psnr, 80.0)
    with pytest.raises(ImageError, match="too few"):  # five scales do not fit
        compress_to_score(codec, small, ms_ssim, 0.9)


@pytest.mark.parametrize(
    "quality, globals_only", [(0, True), (0, False), (10, False), (50, False), (100, False)]
)
def test_the_encoder_knows_the_picture_that_will_be_decoded(
    codec: Codec, small: NDArray[np.uint8], quality: float, globals_only: bool
) -> None:
    coding = codec.code(codec.analyse(small), quality, globals_only=globals_only)
    assert coding.data == codec.compress(small, quality, globals_only=globals_only)
    expected = codec.decode(coding.data).rgb
    for _ in range(2):
        assert np.array_equal(codec.reconstruct(coding), expected)


def cost(codec: Codec, image: NDArray[np.uint8], quality: float, effort: int) -> float:
    return bits_per_pixel(codec, codec.compress(image, quality, effort=effort), image, quality)


@pytest.mark.parametrize("quality", [30, 80])
def test_effort_lowers_the_cost(codec: Codec, small: NDArray[np.uint8], quality: float) -> None:
    costs = [cost(codec, small, quality, effort) for effort in (3, 4, 5)]
    assert max(costs[1:]) < costs[0]


@pytest.mark.parametrize("quality", [20, 80])
def test_steps_that_are_too_long_are_taken_back_and_halved(
    codec: Codec, small: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, quality: float
) -> None:
    plain, searched = (cost(codec, small, quality, effort) for effort in (3, 6))
    monkeypatch.setattr("sbtcodec.rdo.latent_search.PACE", 3.0)
    monkeypatch.setattr("sbtcodec.rdo.latent_search.LARGEST_MOVE", 2.0)
    assert plain - cost(codec, small, quality, 6) > 0.5 * (plain - searched)


def test_efforts_up_to_the_default_give_the_same_file_and_unknown_ones_are_refused(
    tiny_codec: Codec, small: NDArray[np.uint8]
) -> None:
    assert tiny_codec.compress(small, effort=0) == tiny_codec.compress(small)
    for effort in (-1, 10):
        with pytest.raises(ValueError, match="0 to 9"):
            tiny_codec.compress(small, effort=effort)


def test_a_size_is_kept_with_effort_too(tiny_codec: Codec, small: NDArray[np.uint8]) -> None:
    found = compress_to_size(tiny_codec, small, 900, effort=4)
    assert len(found.data) <= 900
    assert found.data == tiny_codec.compress(small, found.quality or 0, effort=4)


def test_windows_refine_nearly_like_the_whole(
    codec: Codec, small: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, plain = cost(codec, small, 60, 4), cost(codec, small, 60, 3)
    monkeypatch.setattr("sbtcodec.rdo.latent_search.WHOLE_LATENTS", 2)
    monkeypatch.setattr("sbtcodec.rdo.latent_search.WINDOW_LATENTS", 4)
    monkeypatch.setattr("sbtcodec.rdo.latent_search.HALO_LATENTS", 2)
    assert plain - cost(codec, small, 60, 4) > 0.5 * (plain - whole)


def globals_cost(codec: Codec, image: NDArray[np.uint8], effort: int) -> float:
    data = codec.compress(image, globals_only=True, effort=effort)
    lmbda = token_search.lmbda_of_globals(codec.release)
    return 8 * len(data) + lmbda * errors(codec, data, image, token_search.MS_SSIM_SHARE)


def test_effort_makes_better_global_tokens(codec: Codec, photo: NDArray[np.uint8]) -> None:
    plain, better = globals_cost(codec, photo, 3), globals_cost(codec, photo, 5)
    assert better < 0.98 * plain


def test_windows_refine_tokens_nearly_like_the_whole(
    codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = np.concatenate([photo, photo[:, ::-1]], 1)  # 15 tokens, two windows of attention
    plain, whole = globals_cost(codec, wide, 3), globals_cost(codec, wide, 5)
    monkeypatch.setattr("sbtcodec.rdo.token_search.WHOLE_TOKENS", 8)
    monkeypatch.setattr("sbtcodec.rdo.token_search.BLOCK_TOKENS", 8)
    assert plain - globals_cost(codec, wide, 5) > 0.5 * (plain - whole)


def test_tokens_are_refined_once_and_only_for_rates_that_profit(
    tiny_codec: Codec, small: NDArray[np.uint8]
) -> None:
    analysis = tiny_codec.analyse(small)
    plain = tiny_codec.networks.levels(analysis.z)
    assert torch.equal(tiny_codec.code(analysis, 100, effort=5).levels, plain)
    assert not analysis.fitted
    low, none, again = (
        tiny_codec.code(analysis, 0, globals_only=alone, effort=5).levels
        for alone in (False, True, True)
    )
    # a search finds tokens that are better alone, and cost more with details
    assert low is analysis.fitted[STEPS_BEFORE_DETAILS, 0]
    assert none is again is analysis.fitted[STEPS_ALONE, 4]


def test_the_weight_of_errors_is_that_of_training(codec: Codec) -> None:
    release = codec.release
    low, high = release.recipe["lmbda_min"], release.recipe["lmbda_max"]
    weights = [release.lmbda(code) for code in range(256)]
    assert all(a < b for a, b in pairwise(weights))
    assert weights[-1] == pytest.approx(high, rel=0.01)
    assert replace(release, recipe={}).lmbda(255) == pytest.approx(0.08, rel=0.01)
    lowest = np.flatnonzero(release.integer_anchor_weights[:, 0] == 64).max()
    assert release.lmbda(int(lowest)) == pytest.approx(low, rel=0.05)


def test_a_file_with_effort_is_an_ordinary_file(codec: Codec, small: NDArray[np.uint8]) -> None:
    data = codec.compress(small, 50, effort=4)
    assert unpack(data).header.quality == 127
    assert codec.decode(data).notice is None
    assert torch.is_grad_enabled()
    assert codec.compress(small, 50, effort=4) == data
