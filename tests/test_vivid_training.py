"""Training of the vivid look: where it starts, what it learns, and that it resumes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from trunks import trunk

from sbtcodec.errors import DatasetError, SbtError, WeightsError
from sbtcodec.models.release import Release, load_release
from sbtcodec.training import checkpoint
from sbtcodec.training.vivid_losses import Discriminator, VggFeatures, fold_traces
from sbtcodec.training.vivid_run import train_vivid
from sbtcodec.training.vivid_state import VividTraining, begun
from sbtcodec.training.vivid_step import Crops

RECIPE = VividTraining(
    minutes=60, batch=1, side=64, finest_width=8, discriminator_from=0, adversarial_from=0
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def release() -> Release:
    return load_release()


@pytest.fixture(scope="module")
def trunk_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    save_file(trunk(), path)
    return path


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates of learning that depend on steps alone: the clock of the run stands still."""
    monkeypatch.setattr("sbtcodec.training.loop.clock", lambda _device: 0.0)


def train(release: Release, data: Path, trunk: Path, out: Path, steps: int, **more: Any) -> Path:
    recipe = more.pop("recipe", RECIPE)
    return train_vivid(recipe, release, data=data, trunk=trunk, out=out, steps=steps, **more)


@pytest.mark.usefixtures("still")
def test_a_resumed_run_equals_an_unbroken_one(
    release: Release, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    whole = train(release, photographs, trunk_file, tmp_path / "whole", 3)
    broken = train(release, photographs, trunk_file, tmp_path / "broken", 2)
    train(release, photographs, trunk_file, tmp_path / "broken", 3, resume=True)
    (one, _), (other, progress) = checkpoint.load(whole), checkpoint.load(broken)
    assert progress["step"] == 3
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_starts_with_the_faithful_look(release: Release) -> None:
    run, crops = begun(RECIPE, release, CPU), Crops(release, RECIPE, CPU)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    y_hat, weights, layers, faithful = crops.shown(x, 0)
    with torch.no_grad():
        made = run.decoder.model(y_hat, weights, layers).clamp(0, 1)
    torch.testing.assert_close(made, faithful)


@pytest.mark.usefixtures("still")
def test_both_networks_learn_and_nothing_else_does(
    release: Release, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    before = {k: v.clone() for k, v in release.model.state_dict().items()}
    recipe = replace(RECIPE, warmup_steps=1)
    path = train(release, photographs, trunk_file, tmp_path, 2, recipe=recipe)
    tensors, _ = checkpoint.load(path)
    start = begun(recipe, release, CPU).networks.state_dict()
    changed = {
        k.split(".")[0] for k, v in start.items() if not torch.equal(v, tensors[f"model.{k}"])
    }
    assert changed == {"decoder", "discriminator"}
    after = release.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_pattern_that_repeats_with_the_squares_is_seen() -> None:
    g = torch.Generator().manual_seed(0)
    photograph = torch.rand(2, 3, 64, 64, generator=g)
    noisy = photograph + 0.05 * torch.randn(2, 3, 64, 64, generator=g)
    dotted = photograph.clone()
    dotted[:, :, ::4, ::4] += 0.05
    assert (dotted - photograph).square().mean() < (noisy - photograph).square().mean() / 8
    assert fold_traces(dotted, photograph) > fold_traces(noisy, photograph)
    assert fold_traces(photograph + 0.1, photograph) < 1e-6


def test_the_trunk_of_training_measures_as_that_of_the_benchmark(
    trunk_file: Path, photo: Any
) -> None:
    from sbtcodec.evaluation.perceptual import VggDistance
    from sbtcodec.training.vivid_losses import feature_distance

    other = photo[::-1].copy()
    features = VggFeatures(trunk_file, CPU)
    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 255 for p in (photo, other))
    found = float(feature_distance(features(x), features(y)))
    assert found == pytest.approx(VggDistance(trunk_file)(photo, other), rel=0.05)


def test_the_discriminator_answers_for_each_square_of_eight_pixels() -> None:
    x = torch.rand(1, 3, 64, 32)
    assert Discriminator(8)(x, x).shape == (1, 1, 8, 4)


def test_what_is_missing_is_told(
    release: Release, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError):
        train(release, tmp_path / "nowhere", trunk_file, tmp_path / "a", 1)
    with pytest.raises(SbtError, match="there is no file"):
        train(release, photographs, tmp_path / "nowhere", tmp_path / "b", 1)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "checkpoint.safetensors").write_text(json.dumps({}))
    with pytest.raises(WeightsError):
        train(release, photographs, trunk_file, tmp_path / "c", 1, resume=True)
