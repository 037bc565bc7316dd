"""The perceptual distance: a trunk's features of real photographs, near and far."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from trunks import trunk

from sbtcodec.errors import ImageError, SbtError
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.models.vgg_trunk import CONVOLUTIONS


@pytest.fixture(scope="module")
def trunk_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    save_file(trunk(), path)
    return path


@pytest.fixture(scope="module")
def distance(trunk_file):
    return VggDistance(trunk_file)


def blurred(photo, radius):
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))


def noisy(photo, deviation):
    noise = np.random.default_rng(1).normal(0, deviation, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


def test_an_image_has_no_distance_to_itself(distance, photo):
    assert distance(photo, photo.copy()) == 0


def test_the_distance_is_the_same_both_ways(distance, photo):
    other = blurred(photo, 2)
    assert distance(photo, other) == pytest.approx(distance(other, photo), rel=1e-5)


@pytest.mark.parametrize("damage", [blurred, noisy])
def test_the_distance_grows_with_damage(distance, photo, damage):
    to_photo = distance.to(photo)
    found = [to_photo(damage(photo, strength)) for strength in (1, 3, 9)]
    assert 0 < found[0] < found[1] < found[2] < 2


def test_red_and_blue_are_not_taken_for_each_other(distance, photo):
    assert distance(photo, photo[..., ::-1].copy()) > 0.01


def test_the_distance_is_that_of_its_description(trunk_file, distance, photo):
    """Written out once more, in double precision and one place at a time."""
    other = blurred(photo, 3)
    tensors = {name: value.double() for name, value in trunk().items()}
    mean = torch.tensor([104.00699, 116.66877, 122.67892], dtype=torch.float64)
    h = torch.stack(
        [torch.from_numpy(x[..., ::-1].copy()).double() - mean for x in (photo, other)]
    ).permute(0, 3, 1, 2)
    blocks = []
    for block, count in enumerate(CONVOLUTIONS, 1):
        for index in range(1, count + 1):
            name = f"conv{block}_{index}"
            h = torch.conv2d(h, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)
            h = h.clamp_min(0)
        cosine = torch.nn.functional.cosine_similarity(h[0], h[1], dim=0)
        blocks.append(float((2 - 2 * cosine).mean()))
        h = torch.max_pool2d(h, 2, 2)
    assert distance(photo, other) == pytest.approx(np.mean(blocks), rel=1e-3)


def test_images_of_two_sizes_or_too_small_are_refused(distance, photo):
    with pytest.raises(ImageError, match="decoded image is"):
        distance(photo, photo[1:])
    with pytest.raises(ImageError, match="each side takes 8"):
        distance(photo[:7], photo[:7])


def test_what_is_no_trunk_is_refused_with_the_reason(tmp_path):
    missing = tmp_path / "missing.safetensors"
    with pytest.raises(SbtError, match="there is no file"):
        VggDistance(missing)
    text = tmp_path / "text.safetensors"
    text.write_text("not tensors")
    with pytest.raises(SbtError, match="does not hold a VGG-16 trunk"):
        VggDistance(text)
    short = trunk()
    del short["conv4_3.bias"]
    save_file(short, tmp_path / "short.safetensors")
    with pytest.raises(SbtError, match=r"conv4_3\.bias"):
        VggDistance(tmp_path / "short.safetensors")
    odd = trunk() | {"conv2_1.weight": torch.zeros(12, 9, 3, 3)}
    save_file(odd, tmp_path / "odd.safetensors")
    with pytest.raises(SbtError, match=r"conv2_1\.weight is \[12, 9, 3, 3\], expected \[12, 8"):
        VggDistance(tmp_path / "odd.safetensors")
