"""What nobody sees costs nothing and counts nothing; what is seen keeps its colours."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

import sbtcodec
import sbtcodec.pillow  # teaches Pillow the format
from sbtcodec.cli.common.encoding import FileEncoder
from sbtcodec.codec import rate_control
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.rate_target import RateTarget
from sbtcodec.collection.manifest import Settings
from sbtcodec.evaluation.metrics import psnr
from sbtcodec.image.picture import Picture
from sbtcodec.image.transparency import over, reduced, score_of_seen, smoothed

RANDOM = np.random.default_rng(64)
Y, X = np.mgrid[:128, :128]
SEEN = (X - 64) ** 2 + (Y - 64) ** 2 < 50**2
PHOTO = photographs.astronaut()[:256:2, 100:356:2].copy()
NOISE = RANDOM.integers(0, 256, PHOTO.shape, dtype=np.uint8)
ALPHA = SEEN.astype(np.uint8) * 255


def cut_out(hidden, alpha=ALPHA):
    return Picture(np.where(SEEN[..., None], PHOTO, hidden), alpha=alpha)


@pytest.fixture(scope="module")
def codec():
    return Codec.load("cpu")


# Invisible pixels


def test_only_what_is_invisible_is_filled():
    alpha = np.where(SEEN, RANDOM.integers(1, 256, SEEN.shape), 0).astype(np.uint8)
    picture = smoothed(cut_out(NOISE, alpha))
    assert np.array_equal(picture.rgb[SEEN], PHOTO[SEEN])
    assert picture.alpha is alpha


def test_what_is_hidden_does_not_matter():
    first, second = smoothed(cut_out(NOISE)), smoothed(cut_out(np.zeros_like(PHOTO)))
    assert np.array_equal(first.rgb, second.rgb)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (37, 53), (64, 64)])
def test_a_flat_colour_is_continued_over_any_size(size):
    alpha = np.zeros(size, np.uint8)
    alpha[0, 0] = alpha[-1, -1] = 255
    rgb = np.where(alpha[..., None] > 0, np.uint8([200, 90, 10]), np.uint8(77))
    found = smoothed(Picture(rgb, alpha=alpha)).rgb
    assert np.abs(found.astype(int) - [200, 90, 10]).max() <= 4


def test_the_filling_has_no_steps():
    ramp = np.stack([X, Y, (X + Y) // 2], 2).astype(np.uint8)
    rgb = np.where(SEEN[..., None], ramp, NOISE)
    found = smoothed(Picture(rgb, alpha=ALPHA)).rgb.astype(int)
    assert max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1)) <= 8


def test_gray_stays_gray():
    rgb = np.repeat(NOISE[:, :, :1], 3, 2)
    found = smoothed(Picture(rgb, grayscale=True, alpha=ALPHA)).rgb
    assert np.array_equal(found[:, :, 0], found[:, :, 1])
    assert np.array_equal(found[:, :, 0], found[:, :, 2])


def test_pictures_without_invisible_pixels_are_left_alone():
    for alpha in (None, np.full(SEEN.shape, 1, np.uint8)):
        picture = Picture(PHOTO, alpha=alpha)
        assert smoothed(picture) is picture


def test_a_picture_of_nothing_is_filled_evenly(codec):
    picture = smoothed(Picture(NOISE, alpha=np.zeros_like(ALPHA)))
    assert len(np.unique(picture.rgb)) == 1
    assert len(codec.compress(Picture(NOISE, alpha=np.zeros_like(ALPHA)))) < 400


def test_invisible_noise_costs_nothing_unless_it_is_kept(codec):
    smooth, noisy = cut_out(np.full_like(PHOTO, 99)), cut_out(NOISE)
    data = codec.compress(noisy)
    assert data == codec.compress(smooth)
    kept = codec.compress(noisy, keep_invisible=True)
    assert len(kept) > 1.5 * len(data)
    hidden = [codec.decode(file).rgb[~SEEN].astype(int) for file in (data, kept)]
    errors = [np.square(rgb - NOISE[~SEEN]).mean() for rgb in hidden]
    assert errors[1] < errors[0]
    assert np.array_equal(codec.decode(data).picture.alpha, ALPHA)


def test_every_way_in_can_keep_them(codec):
    picture = cut_out(NOISE)
    kept = codec.compress(picture, keep_invisible=True)
    assert sbtcodec.compress(picture, keep_invisible=True, device="cpu") == kept
    assert FileEncoder(RateTarget(keep_invisible=True))(codec, picture).data == kept
    file = io.BytesIO()
    image = Image.fromarray(np.dstack([picture.rgb, ALPHA]))
    image.save(file, "SBT", keep_invisible=True, device="cpu")
    assert file.getvalue() == kept
    size = len(kept) // 2
    fitting = rate_control.compress_to_size(codec, picture, size, keep_invisible=True)
    assert fitting.quality < rate_control.compress_to_size(codec, picture, size).quality


def test_collections_are_told_apart_by_what_they_keep():
    plain = Settings(50, False, "model")
    assert "invisible" not in str(plain)
    assert "with invisible colours" in str(Settings(50, False, "model", keep_invisible=True))


# Scores


def test_a_target_is_of_what_is_seen(codec):
    found = rate_control.compress_to_score(codec, cut_out(NOISE), psnr, 30)
    decoded = codec.decode(found.data).picture
    for level in (0, 255):
        assert psnr(over(cut_out(NOISE), level), over(decoded, level)) >= 30


def test_a_score_is_the_lesser_over_black_and_white():
    picture = Picture(np.full((4, 4, 3), 100, np.uint8), alpha=np.full((4, 4), 51, np.uint8))
    means = lambda x, x_hat: float(x.mean() + x_hat.mean())
    assert score_of_seen(means, picture, picture) == 40
    plain = Picture(picture.rgb)
    assert score_of_seen(means, plain, plain) == 200


def test_what_is_hidden_does_not_count_but_a_lost_transparency_does():
    picture, other = cut_out(NOISE), cut_out(np.zeros_like(PHOTO))
    assert score_of_seen(psnr, picture, other) == np.inf
    assert score_of_seen(psnr, picture, Picture(picture.rgb)) < 20


def test_a_composite_is_rounded():
    rgb = np.array([[[255, 0, 10]] * 4], np.uint8)
    picture = Picture(rgb, alpha=np.array([[0, 1, 128, 255]], np.uint8))
    alpha = picture.alpha[..., None] / 255.0
    for level in (0, 99, 255):
        assert np.array_equal(over(picture, level), np.rint(rgb * alpha + level * (1 - alpha)))


# Reduced pictures


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(128, 128), (101, 67), (3, 5)])
def test_colours_are_averaged_by_their_alpha(size, scale):
    rgb = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
    alpha = RANDOM.integers(0, 256, size, dtype=np.uint8)
    alpha[: size[0] // 2] = 0
    small, small_alpha = reduced(rgb, alpha, scale)
    for top in range(0, size[0], scale):
        for left in range(0, size[1], scale):
            part = np.s_[top : top + scale, left : left + scale]
            weight = alpha[part].astype(float)
            if weight.sum() > 0:
                mean = (rgb[part] * weight[..., None]).sum((0, 1)) / weight.sum()
                found = small[top // scale, left // scale]
                assert np.abs(found - mean).max() <= 0.51
            assert abs(small_alpha[top // scale, left // scale] - weight.mean()) <= 0.51


@pytest.mark.parametrize("grayscale", [False, True])
def test_the_edges_of_a_white_disc_stay_white(codec, grayscale):
    rgb = np.repeat(ALPHA[..., None], 3, 2)
    picture = Picture(rgb, grayscale=grayscale, alpha=ALPHA)
    data = codec.compress(picture, 90)
    for scale in (2, 4, 8):
        small = codec.decode(data, scale=scale).picture
        assert small.rgb[small.alpha > 0].min() > 240
        part = codec.decode(data, crop=(10, 10, 77, 50), scale=scale).picture
        assert part.alpha.shape == part.rgb.shape[:2]


def test_opaque_pictures_are_reduced_as_before():
    small, alpha = reduced(PHOTO, None, 4)
    assert np.array_equal(small, np.asarray(Image.fromarray(PHOTO).reduce(4)))
    assert alpha is None
    assert reduced(PHOTO, ALPHA, 1)[0] is PHOTO
