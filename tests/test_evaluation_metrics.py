"""Metrics: exact where a value is known, honest where an image is too small."""

import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from sbtcodec.errors import ImageError
from sbtcodec.evaluation import metrics


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 200, (176, 168, 3), dtype=np.uint8)


def test_psnr_of_identical_images_is_infinite(noise):
    assert metrics.psnr(noise, noise.copy()) == math.inf


@pytest.mark.parametrize("offset", [1, 10, 55])
def test_psnr_of_a_known_offset_is_exact(noise, offset):
    expected = 20 * math.log10(255 / offset)
    assert metrics.psnr(noise, noise + np.uint8(offset)) == pytest.approx(expected, abs=1e-12)


def test_psnr_of_black_and_white_is_zero():
    black = np.zeros((4, 5, 3), np.uint8)
    assert metrics.psnr(black, black + np.uint8(255)) == 0


def test_psnr_agrees_with_scikit_image(noise):
    other = noise[::-1].copy()
    expected = peak_signal_noise_ratio(noise, other, data_range=255)
    assert metrics.psnr(noise, other) == pytest.approx(expected, abs=1e-9)


def test_ms_ssim_of_identical_images_is_one_and_falls_with_damage(noise):
    assert metrics.ms_ssim(noise, noise) == pytest.approx(1, abs=1e-6)
    slightly, badly = noise // 8 * 8, noise // 64 * 64
    assert 1 > metrics.ms_ssim(noise, slightly) > metrics.ms_ssim(noise, badly) > 0


def test_ms_ssim_is_not_a_number_below_161_pixels():
    enough, short = (np.zeros((side, 200, 3), np.uint8) for side in (161, 160))
    assert metrics.ms_ssim(enough, enough) == pytest.approx(1, abs=1e-6)
    assert math.isnan(metrics.ms_ssim(short, short))
    assert math.isnan(metrics.ms_ssim_db(short, short))


def test_decibels_of_known_similarities():
    assert metrics.decibels(0.9) == pytest.approx(10)
    assert metrics.decibels(0.99) == pytest.approx(20)
    assert metrics.decibels(1.0) == math.inf
    assert metrics.decibels(1.0000001) == math.inf


def test_ssimulacra2_is_100_for_identical_images_and_falls_with_damage(noise):
    assert metrics.ssimulacra2(noise, noise) == pytest.approx(100, abs=1e-6)
    assert metrics.ssimulacra2(noise, noise // 8 * 8) > metrics.ssimulacra2(noise, noise // 64 * 64)


def test_ssimulacra2_is_not_a_number_below_8_pixels():
    tiny = np.zeros((7, 64, 3), np.uint8)
    assert math.isnan(metrics.ssimulacra2(tiny, tiny))


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ms_ssim, metrics.ssimulacra2])
def test_images_that_do_not_match_are_refused(metric, noise):
    with pytest.raises(ImageError, match="decoded image is"):
        metric(noise, noise[:-1])
    with pytest.raises(ImageError, match="uint8"):
        metric(noise.astype(np.float32), noise)
    with pytest.raises(ImageError, match="uint8"):
        metric(noise[..., 0], noise[..., 0])
