"""Training of the vivid look: where it starts, what it learns, and that it resumes."""

import copy
import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor
from typer.testing import CliRunner

from sbtcodec.cli import app
from sbtcodec.errors import DatasetError, SbtError, WeightsError
from sbtcodec.models.looks import write_look
from sbtcodec.models.release import Release, load_release
from sbtcodec.runtime.tensor_files import save_tensors
from sbtcodec.tokenizer.layers import Block
from sbtcodec.tokenizer.look import Look, mixed
from sbtcodec.training import checkpoint
from sbtcodec.training.spectrum_losses import carrier_traces
from sbtcodec.training.trunk_losses import VggFeatures, feature_distance, texture_distance
from sbtcodec.training.vivid_losses import (
    Discriminator,
    colours_apart,
    fold_traces,
    logarithm_of_error,
)
from sbtcodec.training.vivid_run import train_vivid
from sbtcodec.training.vivid_stage import PRESETS, averaged_look
from sbtcodec.training.vivid_state import VividTraining, begun, faithful_start
from sbtcodec.training.vivid_step import Crops, looked_at, shown_by, update

RECIPE = VividTraining(
    minutes=60, batch=1, side=64, finest_width=8, discriminator_from=0, adversarial_from=0
)
CHANNELS = (8, 12, 16, 20)  # of the blocks of the trunk of `trunks`
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def release() -> Release:
    return load_release()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates of learning that depend on steps alone: the clock of the run stands still."""
    monkeypatch.setattr("sbtcodec.training.loop.clock", lambda _device: 0.0)


def train(release: Release, folder: Path, trunk: Path, out: Path, steps: int, **more: Any) -> Path:
    recipe = more.pop("recipe", RECIPE)
    return train_vivid(recipe, release, data=folder, trunk=trunk, out=out, steps=steps, **more)


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


@pytest.mark.parametrize("alone", [0.0, 0.5, 1.0])
def test_a_run_starts_with_the_faithful_look(
    release: Release, alone: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbtcodec.training.vivid_step.fast_bf16", lambda _kind: False)
    recipe = replace(RECIPE, alone_share=alone)
    run, crops = begun(recipe, release, CHANNELS, CPU), Crops(release, recipe, CPU)
    x = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    arrived = crops.arrived(x, 0)
    assert len(arrived.values) == int((arrived.layers == 0).sum())
    assert (len(arrived.values) > 0, len(arrived.detailed) > 0) == (alone > 0, alone < 1)
    assert isinstance(run.look.model, Look)
    with torch.no_grad():
        made = shown_by(run.look.model, arrived).clamp(0, 1)
    torch.testing.assert_close(made, arrived.faithful)


@pytest.mark.usefixtures("still")
def test_both_networks_learn_and_nothing_else_does(
    release: Release, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    before = {k: v.clone() for k, v in release.model.state_dict().items()}
    recipe = replace(RECIPE, warmup_steps=1)
    path = train(release, photographs, trunk_file, tmp_path, 2, recipe=recipe)
    tensors, _ = checkpoint.load(path)
    start = begun(recipe, release, CHANNELS, CPU).networks.state_dict()
    changed = {
        k.split(".")[0] for k, v in start.items() if not torch.equal(v, tensors[f"model.{k}"])
    }
    assert changed == {"look", "discriminator"}
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


def weave(side: int, like: Tensor) -> Tensor:
    """A pattern of 4 pixels, [1, 1, side, side], turned around at random every 16 pixels."""
    place = torch.arange(side)
    pattern = torch.cos(math.pi / 2 * place)[:, None] * torch.cos(math.pi / 2 * place)
    g = torch.Generator().manual_seed(1)
    signs = torch.randint(0, 2, (1, 1, side // 16, side // 16), generator=g) * 2.0 - 1
    turned = F.interpolate(signs, scale_factor=16) * pattern
    return turned * like.square().mean().sqrt() / turned.square().mean().sqrt()


def test_a_weave_that_no_mean_shows_costs_and_noise_as_strong_does_not() -> None:
    g = torch.Generator().manual_seed(0)
    photograph = torch.tensor(data.astronaut()[100:356, 100:356]).permute(2, 0, 1)[None] / 255
    noise = 0.02 * torch.randn(photograph.shape, generator=g)
    woven = weave(256, noise)
    assert fold_traces(photograph + woven, photograph) < 2e-5
    plain = carrier_traces(photograph, photograph)
    assert plain == 0
    noisy = carrier_traces(photograph + noise, photograph)
    assert carrier_traces(photograph + woven, photograph) > max(0.02, 20 * noisy)


def test_a_pattern_of_the_photograph_may_be_drawn() -> None:
    x = torch.full((1, 3, 64, 64), 0.5)
    woven = x + weave(64, torch.full((1,), 0.1))
    assert carrier_traces(woven, x) > 0.5
    assert carrier_traces(woven, woven) == 0
    assert carrier_traces(x, woven) == 0


def test_the_gradient_of_carrier_traces_takes_a_weave_away() -> None:
    x = torch.full((1, 1, 64, 64), 0.5)
    pattern = weave(64, torch.full((1,), 0.1))
    strength = torch.tensor(1.0, requires_grad=True)
    carrier_traces(x + strength * pattern, x).backward()
    assert strength.grad is not None
    assert strength.grad > 0.01


def test_a_shift_of_colour_costs_and_fine_noise_does_not() -> None:
    g = torch.Generator().manual_seed(0)
    photograph = torch.rand(2, 3, 64, 64, generator=g)
    shifted = photograph + torch.tensor([0.05, 0.0, -0.05])[:, None, None]
    noisy = photograph + 0.05 * torch.randn(2, 3, 64, 64, generator=g)
    assert colours_apart(shifted, photograph) > 20 * colours_apart(noisy, photograph)


def test_each_picture_counts_alike_where_the_logarithm_of_its_error_does() -> None:
    x = torch.full((2, 3, 16, 16), 0.5)
    made = x + torch.tensor([0.02, 0.2])[:, None, None, None]
    before = logarithm_of_error(made, x)
    for index in (0, 1):
        better = made.clone()
        better[index] = x[index] + (made - x)[index] / 2
        # half the error of either picture is 6 dB, of two
        gain = float(before - logarithm_of_error(better, x))
        assert gain == pytest.approx(math.log(4) / 2, rel=0.1)


@pytest.mark.parametrize("count", [1, 2])
def test_features_may_be_looked_at_of_some_crops_alone(
    release: Release, trunk_file: Path, count: int
) -> None:
    recipe = replace(RECIPE, alone_share=1.0, looked_at=count)
    features = VggFeatures(trunk_file, CPU)
    run, crops = begun(recipe, release, features.channels, CPU), Crops(release, recipe, CPU)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    arrived = crops.arrived(x, 0)
    seen = looked_at(recipe, features, x.clone().requires_grad_(), x, arrived)
    assert {len(part) for part in (seen.made, seen.found[0], seen.wanted[3], seen.shares)} == {
        count
    }
    losses = update(run, x, arrived, features)
    assert losses["vgg"] > 0 and losses["wrong"] > 0


def test_looking_real_counts_the_less_the_more_a_file_says(release: Release) -> None:
    x = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    recipe = replace(RECIPE, alone_share=0.25)
    arrived = Crops(release, recipe, CPU).arrived(x, 0)
    alone = arrived.layers == 0
    assert alone.any() and (arrived.shares[alone] == 1).all()
    shares = arrived.shares[~alone]
    assert shares.min() == 0 and 0.5 < shares.max() <= 1
    assert (shares > 0.5).sum() > 0.4 * len(shares)
    anchors = torch.arange(arrived.weights.shape[1], dtype=torch.float32)
    order = (arrived.weights[~alone] @ anchors).argsort()  # by quality
    assert (shares[order].diff() <= 1e-6).all()


def test_where_nothing_is_to_look_real_texture_and_the_discriminator_do_not_count(
    release: Release, trunk_file: Path
) -> None:
    recipe = replace(RECIPE, faithful_from=1, alone_share=0.0, warmup_steps=1)
    losses = updated(release, trunk_file, recipe)[0]
    assert {losses[name] for name in ("texture", "fooled", "wrong")} == {0.0}
    assert losses["vgg"] > 0 and losses["mse"] > 0 and losses["colour"] > 0
    counted = updated(release, trunk_file, replace(recipe, faithful_from=10_000))[0]
    assert counted["texture"] > 0 and counted["wrong"] > 0


@pytest.mark.parametrize(
    "term",
    ["colour", "folds", "texture", "adversarial", "perceptual", "squared_error", "log_error"],
)
def test_every_term_moves_the_weights(release: Release, trunk_file: Path, term: str) -> None:
    recipe = replace(RECIPE, alone_share=1.0, warmup_steps=1)
    (_, one), (_, other) = (
        updated(release, trunk_file, replace(recipe, **{term: weight})) for weight in (0.0, 1e4)
    )
    assert any(not torch.equal(one[name], other[name]) for name in one)


def updated(
    release: Release, trunk_file: Path, recipe: VividTraining
) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Losses of a first step, and the parameters of the look after it."""
    features = VggFeatures(trunk_file, CPU)
    run, crops = begun(recipe, release, features.channels, CPU), Crops(release, recipe, CPU)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    losses = update(run, x, crops.arrived(x, 0), features)
    return losses, {k: v.detach() for k, v in run.look.model.named_parameters()}


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("every", [1, 2])
def test_a_discriminator_may_learn_less_often(
    release: Release, photographs: Path, trunk_file: Path, tmp_path: Path, every: int
) -> None:
    recipe = replace(RECIPE, discriminator_every=every)
    one, two = (
        checkpoint.load(
            train(release, photographs, trunk_file, tmp_path / f"{n}", n, recipe=recipe)
        )
        for n in (1, 2)
    )
    learnt = [k for k in one[0] if k.startswith("model.discriminator.") and k.endswith("bias")]
    changed = [k for k in learnt if not torch.equal(one[0][k], two[0][k])]
    assert learnt and bool(changed) == (every == 1)


def test_the_trunk_of_training_measures_as_that_of_the_benchmark(
    trunk_file: Path, photo: Any
) -> None:
    from sbtcodec.evaluation.perceptual import VggDistance

    other = photo[::-1].copy()
    features = VggFeatures(trunk_file, CPU)
    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 255 for p in (photo, other))
    found = float(feature_distance(features(x), features(y)))
    assert found == pytest.approx(VggDistance(trunk_file)(photo, other), rel=0.05)


def test_the_discriminator_answers_for_each_square_of_eight_pixels() -> None:
    x = torch.rand(1, 3, 64, 32)
    features = [torch.rand(1, c, 64 >> b, 32 >> b) for b, c in enumerate(CHANNELS)]
    assert Discriminator(CHANNELS, 8)(x, x, features).shape == (1, 1, 8, 4)


def test_gradients_of_the_distances_are_those_of_their_values() -> None:
    g = torch.Generator().manual_seed(0)
    made, wanted = (
        [torch.rand(2, 5, 16 >> b, 32 >> b, generator=g) for b in range(4)] for _ in range(2)
    )

    def texture(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
        return (texture_distance(found, wanted) * torch.tensor([0.3, 1.0])).mean()

    for of in (feature_distance, texture):
        inputs = [h.clone().requires_grad_() for h in made]
        of(inputs, wanted).backward()
        for index, h in enumerate(made):
            step = torch.randn(h.shape, generator=g)
            near = [[*made[:index], h + e * step, *made[index + 1 :]] for e in (1e-2, -1e-2)]
            slope = (of(near[0], wanted) - of(near[1], wanted)) / 2e-2
            found = inputs[index].grad
            assert found is not None
            assert float((found * step).sum()) == pytest.approx(float(slope), rel=2e-2, abs=2e-5)


def test_textures_that_differ_only_in_where_they_are_have_the_same_statistics() -> None:
    g = torch.Generator().manual_seed(0)
    wanted = [torch.rand(1, 3, 32, 32, generator=g)]
    moved = [wanted[0].unflatten(3, (2, 16)).flip(4).flatten(3)]
    smooth = [torch.full_like(wanted[0], float(wanted[0].mean()))]
    assert float(texture_distance(moved, wanted)) == pytest.approx(0, abs=1e-6)
    assert float(texture_distance(smooth, wanted)) > 0.05
    assert float(feature_distance(moved, wanted)) > float(feature_distance(smooth, wanted))


def test_a_run_can_start_from_the_weights_of_a_look(release: Release, tmp_path: Path) -> None:
    torch.manual_seed(3)
    trained = faithful_start(RECIPE, release)
    with torch.no_grad():
        trained.decoder.leave[0].weight.add_(0.5)
    path = tmp_path / "look.safetensors"
    write_look(path, trained, number=release.number, digest=release.digest.hex())
    run = begun(RECIPE, release, CHANNELS, CPU, warm_start=path)
    for found in (run.look.model.state_dict(), run.look.averaged):
        torch.testing.assert_close(
            found["decoder.leave.0.weight"], trained.decoder.leave[0].weight, rtol=1e-3, atol=1e-3
        )
    with pytest.raises(WeightsError, match="not of this recipe's sizes"):
        begun(replace(RECIPE, finest_width=16), release, CHANNELS, CPU, warm_start=path)


@pytest.fixture
def start(release: Release) -> Look:
    return faithful_start(RECIPE, release)


@pytest.fixture
def trained(start: Look) -> Look:
    """As if a training had moved every weight."""
    made, random = copy.deepcopy(start), torch.Generator().manual_seed(4)
    with torch.no_grad():
        for value in made.state_dict().values():
            value.add_(0.03 * torch.randn(value.shape, generator=random))
    return made


def shown(look: Look, release: Release) -> Tensor:
    recipe = replace(RECIPE, alone_share=0.5)
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return shown_by(look, Crops(release, recipe, CPU).arrived(x, 0))


def test_a_look_that_is_mixed_goes_from_what_was_learned_to_the_faithful_one(
    release: Release, start: Look, trained: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbtcodec.training.vivid_step.fast_bf16", lambda _kind: False)
    begin = partial(faithful_start, RECIPE, release)
    faithful = shown(start, release)
    assert torch.equal(shown(mixed(trained, begin, 0), release), shown(trained, release))
    torch.testing.assert_close(shown(mixed(trained, begin, 1), release), faithful)
    errors = [
        float((shown(mixed(trained, begin, share), release) - faithful).square().mean())
        for share in (0, 0.3, 0.7, 0.95)
    ]
    assert errors == sorted(errors, reverse=True) and errors[0] > 100 * errors[-1] > 0


@pytest.mark.parametrize("alone", [False, True])
def test_what_is_mixed_does_not_depend_on_how_the_beginning_is_drawn(
    release: Release, *, alone: bool
) -> None:
    recipe = replace(RECIPE, alone_share=1.0, finest_width=0) if alone else RECIPE
    begin = partial(faithful_start, recipe, release)
    look, made = begin(), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(mixed(look, begin, 0.25).state_dict())
    assert all(torch.equal(value, made[1][name]) for name, value in made[0].items())


def test_of_what_began_at_random_only_what_it_adds_is_mixed(
    release: Release, start: Look, trained: Look
) -> None:
    made = mixed(trained, partial(faithful_start, RECIPE, release), 0.25).state_dict()
    was, first = trained.state_dict(), start.state_dict()
    assert start.predictor is not None
    blocks = [
        k for k, m in start.predictor.predictor.spread.named_modules() if isinstance(m, Block)
    ]
    block = f"predictor.predictor.spread.{blocks[-1]}"
    for name in (
        "decoder.finest.0.weight",
        "decoder.finest.2.expand.weight",
        "decoder.noise2",
        f"{block}.depthwise.weight",
    ):
        assert torch.equal(made[name], was[name])
    for name in ("decoder.finest.3.weight", "decoder.noise4", f"{block}.project.weight"):
        assert not first[name].any()
        torch.testing.assert_close(made[name], 0.75 * was[name])
    for name in ("decoder.leave.0.weight", "predictor.predictor.embed.weight"):
        torch.testing.assert_close(made[name], 0.75 * was[name] + 0.25 * first[name])


def test_the_recipe_says_how_much_of_the_faithful_look_is_released(
    release: Release, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, warmup_steps=1, faithful_share=0.0)
    path = train(release, photographs, trunk_file, tmp_path, 2, recipe=recipe)
    whole, _, told = averaged_look(path, release)
    assert told["faithful_share"] == 0 and told["steps"] == 2
    tensors, progress = checkpoint.load(path)
    about = {
        "progress": json.dumps(progress | {"vivid": progress["vivid"] | {"faithful_share": 0.5}})
    }
    save_tensors(tensors, tmp_path / "half", about)
    half, _, told = averaged_look(tmp_path / "half", release)
    assert told["faithful_share"] == 0.5
    begun_with = release.model.tokenizer.decoder.leave[0].weight
    ends = whole.decoder.leave[0].weight, begun_with
    assert not torch.equal(*ends)
    torch.testing.assert_close(half.decoder.leave[0].weight, (ends[0] + ends[1]) / 2)


def test_networks_for_global_tokens_alone_are_released_as_they_were_learned() -> None:
    assert PRESETS["alone"].faithful_share == 0 < PRESETS["base"].faithful_share < 1


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


@pytest.mark.parametrize(
    ("stage", "option", "value"),
    [
        ("vivid", "--classes", "pictures"),
        ("vivid", "--no-compile", None),
        ("generator", "--trunk", "trunk.safetensors"),
        ("generator", "--warm-start", "weights.safetensors"),
        ("codec", "--held-out", "others"),
    ],
)
def test_options_that_a_stage_does_nothing_with_are_refused(
    stage: str, option: str, value: str | None, tmp_path: Path
) -> None:
    arguments = ["train", "--stage", stage, "--data", "photographs", "--out", str(tmp_path / "run")]
    found = CliRunner().invoke(app, [*arguments, option, *([value] if value else [])])
    assert found.exit_code == 2
    assert "it is for --stage" in found.output
    assert not (tmp_path / "run").exists()
