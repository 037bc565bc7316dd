"""LPIPS and DISTS: weights that are there or not, and what the packages score."""

import hashlib
import importlib
import math
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation_samples import picture
from torch import nn

from sbtcodec.errors import ImageError, SbtError, WeightsError
from sbtcodec.evaluation import learned
from sbtcodec.evaluation.vision import load_vision_metrics

BACKBONES = {"lpips": learned.ALEXNET, "dists": learned.VGG16}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of torch."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """Stand-ins that score the mean difference of what they are given."""

    class Lpips(nn.Module):
        def __init__(self, *, net, version, verbose):
            super().__init__()
            assert (net, version, verbose) == ("alex", "0.1", False)
            torch.load(learned.ALEXNET.path, weights_only=True)

        def forward(self, x, x_hat):
            assert x.shape == x_hat.shape and x.shape[:2] == (1, 3)
            assert -1 <= min(x.min(), x_hat.min()) and max(x.max(), x_hat.max()) <= 1
            return (x - x_hat).mean() / 2

    class Dists(nn.Module):
        def __init__(self, *, load_weights):
            super().__init__()
            assert not load_weights
            torch.load(learned.VGG16.path, weights_only=True)
            self.alpha, self.beta = (nn.Parameter(torch.zeros(1)) for _ in range(2))

        def forward(self, x, x_hat):
            assert 0 <= min(x.min(), x_hat.min()) and max(x.max(), x_hat.max()) <= 1
            return self.alpha * (x - x_hat).mean() + self.beta

    own = tmp_path / "weights.pt"
    torch.save({"alpha": torch.ones(1), "beta": torch.full((1,), 0.25)}, own)
    for name, content in (
        ("lpips", {"LPIPS": Lpips}),
        ("DISTS_pytorch", {"DISTS": Dists, "__file__": str(tmp_path / "__init__.py")}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    versions = SimpleNamespace(version=lambda package: f"9.9 of {package}")
    monkeypatch.setattr(learned, "metadata", versions)
    return own


@pytest.fixture
def weights(cache):
    for backbone in BACKBONES.values():
        torch.save({"a": torch.zeros(1)}, cache / backbone.file)


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_that_are_not_there_are_told_with_their_place(packages, cache, name):
    backbone = BACKBONES[name]
    with pytest.raises(WeightsError) as caught:
        load_vision_metrics([name])
    assert str(cache / backbone.file) in str(caught.value)
    assert f"download https://download.pytorch.org/models/{backbone.file} to that" in str(
        caught.value
    )


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("content", [b"", b"none of torch's"])
def test_what_are_no_weights_is_told(packages, cache, name, content):
    (cache / BACKBONES[name].file).write_bytes(content)
    with pytest.raises(WeightsError, match="does not hold the weights of"):
        load_vision_metrics([name])


def test_scores_are_of_the_decoded_image_against_the_original(packages, weights):
    lpips, dists = load_vision_metrics(["lpips", "dists"])
    x, x_hat = (np.full((40, 50, 3), value, np.uint8) for value in (255, 204))
    assert lpips.measure(x, x_hat) == pytest.approx(0.2, abs=1e-6)
    assert dists.measure(x, x_hat) == pytest.approx(0.45, abs=1e-6)
    with pytest.raises(ImageError, match="decoded image is"):
        lpips.measure(x, x_hat[:-1])


def test_pictures_too_small_for_the_networks_are_not_measured(packages, weights):
    lpips, dists = load_vision_metrics(["lpips", "dists"])
    assert math.isnan(lpips.measure(picture(30, 99), picture(30, 99)))
    assert math.isnan(dists.measure(picture(99, 15), picture(99, 15)))


def test_the_settings_name_package_network_and_weights(packages, weights, cache, monkeypatch):
    digest = hashlib.sha256((cache / learned.ALEXNET.file).read_bytes()).hexdigest()[:8]
    settings = load_vision_metrics(["lpips"])[0].settings
    assert "LPIPS: lpips 9.9 of lpips, version 0.1, AlexNet" in settings
    assert f"{digest}, which are not torchvision's" in settings
    known = replace(learned.ALEXNET, file=f"alexnet-{digest}.pth")
    (cache / learned.ALEXNET.file).rename(cache / known.file)
    monkeypatch.setattr(learned, "ALEXNET", known)
    assert load_vision_metrics(["lpips"])[0].settings.endswith(f"AlexNet {digest}")


def test_a_package_without_its_own_weights_is_told(packages, weights):
    packages.unlink()
    with pytest.raises(
        SbtError, match="DISTS-pytorch does not have its weights in .*install it anew"
    ):
        load_vision_metrics(["dists"])


@pytest.mark.parametrize(("name", "module"), [("lpips", "lpips"), ("dists", "DISTS_pytorch")])
def test_a_missing_package_is_told_with_the_extra_that_has_it(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SbtError, match=r"pip install 'sbtcodec\[perceptual\]'"):
        load_vision_metrics([name])


@pytest.mark.parametrize("name", BACKBONES)
def test_the_packages_score_as_they_say(name, cache, monkeypatch):
    module = {"lpips": "lpips", "dists": "DISTS_pytorch"}[name]
    try:
        importlib.import_module(module)
        models = importlib.import_module("torchvision.models")
    except Exception as error:  # noqa: BLE001  beside a torch of another build it fails in many ways
        pytest.skip(f"{module}: {error}")
    torch.manual_seed(0)
    network = {"lpips": models.alexnet, "dists": models.vgg16}[name](weights=None)
    torch.save(network.state_dict(), cache / BACKBONES[name].file)
    (metric,) = load_vision_metrics([name])
    x = picture(64, 96)
    worse, worst = (np.clip(x.astype(int) + d, 0, 255).astype(np.uint8) for d in (6, 60))
    worse[::2], worst[::2] = x[::2], x[::2]
    assert metric.measure(x, x) == pytest.approx(0, abs=1e-5)
    assert 0 < metric.measure(x, worse) < metric.measure(x, worst)
    smallest = {"lpips": learned.LPIPS_MIN_SIDE, "dists": learned.DISTS_MIN_SIDE}[name]
    row = picture(smallest, 99)
    assert math.isfinite(metric.measure(row, row))
    if name == "lpips":  # of one pixel less, the package makes no number
        monkeypatch.setattr(learned, "LPIPS_MIN_SIDE", 1)
        (unguarded,) = load_vision_metrics([name])
        with pytest.raises(RuntimeError):
            unguarded.measure(picture(smallest - 1, 99), picture(smallest - 1, 99))


@pytest.mark.parametrize(("name", "weights"), [("alexnet", "AlexNet"), ("vgg16", "VGG16")])
def test_the_files_are_those_that_torchvision_downloads(name, weights):
    try:
        models = importlib.import_module("torchvision.models")
    except Exception as error:  # noqa: BLE001  beside a torch of another build it fails in many ways
        pytest.skip(f"torchvision: {error}")
    url = getattr(models, f"{weights}_Weights").IMAGENET1K_V1.url
    assert url == learned.URL + {"alexnet": learned.ALEXNET, "vgg16": learned.VGG16}[name].file
