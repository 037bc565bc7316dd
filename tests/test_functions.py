"""`sbtcodec.compress` and `decompress`: what the commands have, as arguments."""

import numpy as np
import pytest
from PIL import Image
from profiles import RED_AND_BLUE_SWAPPED
from skimage import data as photographs

import sbtcodec
from sbtcodec.codec.rate_control import compress_to_bpp, compress_to_score, compress_to_size
from sbtcodec.errors import ArgumentError, ImageError, InvalidFileError, RateError
from sbtcodec.evaluation.metrics import psnr

PHOTO = np.ascontiguousarray(photographs.chelsea()[60:93, 100:140])


@pytest.fixture(autouse=True)
def codec_of_the_tests(monkeypatch, tiny_codec):
    monkeypatch.setattr(sbtcodec, "_loaded_codec", lambda _: tiny_codec)


def test_files_are_those_of_the_codec(tiny_codec):
    assert sbtcodec.compress(PHOTO) == tiny_codec.compress(PHOTO)
    assert sbtcodec.compress(PHOTO, 80) == tiny_codec.compress(PHOTO, 80)
    assert sbtcodec.compress(PHOTO, effort=4) == tiny_codec.compress(PHOTO, effort=4)
    alone = tiny_codec.compress(PHOTO, globals_only=True)
    assert sbtcodec.compress(PHOTO, globals_only=True) == alone


def test_a_size_a_rate_or_a_score_is_searched_for(tiny_codec):
    found = compress_to_size(tiny_codec, PHOTO, 700)
    for size in (700, "0.7kB", np.int64(700)):
        assert sbtcodec.compress(PHOTO, size=size) == found.data
    assert sbtcodec.compress(PHOTO, bpp=2) == compress_to_bpp(tiny_codec, PHOTO, 2).data
    found = compress_to_score(tiny_codec, PHOTO, psnr, 5.0)
    for target in (" PSNR = 5.0", ["psnr", np.float32(5)]):
        assert sbtcodec.compress(PHOTO, target=target) == found.data
    with pytest.raises(RateError, match="smallest file"):
        sbtcodec.compress(PHOTO, size=3)


@pytest.mark.parametrize(
    "targets",
    [
        {"quality": 80, "size": 900},
        {"globals_only": True, "bpp": 1},
        {"size": 900, "bpp": 1},
        {"bpp": 1, "target": "psnr=30"},
        {"quality": 10, "globals_only": True},
    ],
    ids=str,
)
def test_aims_exclude_each_other_as_on_the_command_line(targets):
    with pytest.raises(ArgumentError, match=f"{' and '.join(targets)} exclude each other"):
        sbtcodec.compress(PHOTO, **targets)


@pytest.mark.parametrize(
    "target",
    [
        {"size": 0},
        {"size": 1.5},
        {"size": "20 bytes"},
        {"size": "9" * 400},
        {"size": True},
        {"bpp": 0},
        {"bpp": "1"},
        {"bpp": float("inf")},
        {"target": "vmaf=90"},
        {"target": ("psnr", None)},
        {"target": ("psnr",)},
        {"target": 30},
        {"target": "ms-ssim=95"},
    ],
    ids=str,
)
def test_what_cannot_be_aimed_at_is_refused(target):
    with pytest.raises(ArgumentError):
        sbtcodec.compress(PHOTO, **target)


def test_metadata_are_stripped_as_asked_for():
    image = Image.fromarray(PHOTO)
    image.info.update(icc_profile=RED_AND_BLUE_SWAPPED, xmp=b"<x:xmpmeta/>")
    kept = sbtcodec.decompress(sbtcodec.compress(image))
    assert kept.info == image.info
    data = sbtcodec.compress(image, strip=True)
    assert sbtcodec.inspect(data).chunks == ()
    assert sbtcodec.compress(sbtcodec.image.picture.Picture(PHOTO), strip=True)


@pytest.mark.parametrize("make", [lambda a: a, Image.fromarray])
def test_images_of_too_many_pixels_are_refused_before_they_are_decoded(make):
    most = PHOTO.shape[0] * PHOTO.shape[1]
    assert sbtcodec.compress(make(PHOTO), max_pixels=most)
    with pytest.raises(ImageError, match=r"too many pixels.*raise max_pixels"):
        sbtcodec.compress(make(PHOTO), max_pixels=most - 1)
    with pytest.raises(ArgumentError, match="max_pixels is"):
        sbtcodec.compress(make(PHOTO), max_pixels=0)


def test_parts_scales_and_limits_of_decoding_are_those_of_the_codec(tiny_codec):
    data = tiny_codec.compress(PHOTO)
    part = sbtcodec.decompress(data, 1, crop=(5, 6, 20, 10), scale=2)
    expected = tiny_codec.decompress(data, 1, crop=(5, 6, 20, 10), scale=2)
    assert part.size == (10, 5)
    assert np.array_equal(part, expected)
    with pytest.raises(InvalidFileError, match="raise max_pixels"):
        sbtcodec.decompress(data, max_pixels=100)
    with pytest.raises(ArgumentError, match="leaves the picture"):
        sbtcodec.decompress(data, crop=(30, 0, 20, 10))


@pytest.mark.parametrize("wrong", ["False", "no", 0, 1.0, None])
def test_flags_are_true_or_false(wrong):
    image = np.zeros((40, 40, 3), np.uint8)
    with pytest.raises(ArgumentError, match="globals_only is .*, expected True or False"):
        sbtcodec.compress(image, globals_only=wrong)
    data = sbtcodec.compress(image, globals_only=np.True_)
    with pytest.raises(ArgumentError, match="allow_partial"):
        sbtcodec.decompress(data, allow_partial=wrong)
