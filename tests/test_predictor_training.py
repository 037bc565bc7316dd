"""Training of a predictor: its tokens are kept, it resumes, learns, and comes in several sizes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.errors import ArgumentError, DatasetError, WeightsError
from sbtcodec.models.release import Release, load_release
from sbtcodec.tokenizer.predictor import Predictor
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training import checkpoint, local_data, predictor_stage
from sbtcodec.training.local_data import LocalData, square_of
from sbtcodec.training.local_data import local_data as tokens_of_photographs
from sbtcodec.training.local_tokens import local_tokens
from sbtcodec.training.predictor import trained_predictor
from sbtcodec.training.predictor_run import PredictorTraining, begun, train_predictor
from sbtcodec.training.predictor_step import Batches, held_out_error, loss_of
from sbtcodec.training.sensitivity import picture_of, root_of, sensitivity
from sbtcodec.training.token_run import update

RECIPE = PredictorTraining(length=20, batch=4, warmup_steps=3)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs of more than 256 pixels, two of 224 in folders of classes, one too small."""
    from skimage import data

    folder = tmp_path_factory.mktemp("photographs")
    cat, coffee = (Image.fromarray(p) for p in (data.chelsea(), data.coffee()))
    for name, image in (
        ("a.png", cat.crop((0, 0, 300, 280))),
        ("b.png", coffee.crop((100, 50, 420, 320))),
        ("classes/x/c.png", cat.crop((50, 30, 300, 254))),
        ("classes/y/d.png", coffee.crop((0, 0, 224, 224))),
        ("e.png", cat.crop((0, 0, 400, 200))),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
    return folder


@pytest.fixture(scope="module")
def release(tiny_weights: Path) -> Release:
    return load_release(folder=tiny_weights)


@pytest.fixture(scope="module")
def data(
    release: Release, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> LocalData:
    kept = tmp_path_factory.mktemp("kept")
    return tokens_of_photographs(release, kept, folders=[photographs], each=3, pixels=True)


def train(release: Release, data: LocalData, out: Path, steps: int, **options: Any) -> Path:
    recipe = options.pop("recipe", RECIPE)
    return train_predictor(recipe, release.model.tokenizer, data, out=out, steps=steps, **options)


# tokens


def test_squares_are_of_two_sizes_and_none_is_enlarged(data: LocalData) -> None:
    large, small = data.squares
    assert large.levels.shape == (6, 8, 8, 8) and large.y.shape == (6, 16, 16, 16)
    assert small.levels.shape == (6, 8, 7, 7) and small.y.shape == (6, 14, 14, 16)
    assert small.pixels is not None and small.pixels.shape == (6, 224, 224, 3)
    assert sorted({*large.photographs.tolist()} | {*small.photographs.tolist()}) == [0, 1, 2, 3]
    assert data.photographs == 4 and len(data) == 12
    assert large.photographs.tolist() == [0, 0, 0, 1, 1, 1]


def test_what_is_as_small_as_a_square_is_not_resampled(photo: NDArray[np.uint8]) -> None:
    image = Image.fromarray(np.tile(photo, (2, 2, 1))[:224, :301])
    pixels = np.asarray(image)
    windows = [pixels[:, x : x + 224] for x in range(301 - 224 + 1)]
    windows += [w[:, ::-1] for w in windows]
    for seed in range(5):
        made = square_of(image, 224, np.random.default_rng(seed))
        assert any(np.array_equal(made, w) for w in windows)
    assert square_of(image, 224, None).shape == (224, 224, 3)


def test_tokens_are_those_of_the_pixels_in_eight_bits(release: Release, data: LocalData) -> None:
    for squares in data.squares:
        assert squares.pixels is not None
        levels, y = local_tokens(release, np.array(squares.pixels), "cpu")
        assert (levels == squares.levels).mean() > 0.99
        kept = data.coding.decoded(np.array(squares.y))
        assert float((kept - y).square().mean() / y.var()) < 0.002
    assert data.coding.rounding.max() < 0.01


def test_tokens_are_computed_once(
    release: Release, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"folders": [photographs / "classes"], "each": 1}
    found = tokens_of_photographs(release, tmp_path, **given)
    assert found.squares[0].pixels is None
    monkeypatch.setattr(local_data, "local_tokens", None)
    again = tokens_of_photographs(release, tmp_path, **given)
    assert np.array_equal(again.squares[0].y, found.squares[0].y)
    assert torch.equal(again.coding.root, found.coding.root)
    (kept,) = tmp_path.iterdir()
    (kept / "channels.safetensors").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="delete it"):
        tokens_of_photographs(release, tmp_path, **given)


def test_too_small_photographs_are_told(release: Release, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "small.png")
    with pytest.raises(DatasetError, match="at least 224x224 pixels"):
        tokens_of_photographs(release, tmp_path / "kept", folders=[tmp_path])


# what an error is worth


def test_the_form_is_that_of_small_errors_of_pixels(release: Release) -> None:
    tokenizer = release.model.tokenizer
    torch.manual_seed(0)
    y = torch.randn(4, tokenizer.config.coarse_channels, 8, 8)
    metric = sensitivity(tokenizer, y)
    error = 1e-3 * torch.randn_like(y)
    with torch.no_grad():
        pixels = (picture_of(tokenizer, y + error) - picture_of(tokenizer, y)).square().mean()
    form = torch.einsum("bchw,cd,bdhw->bhw", error.double(), metric, error.double()).mean()
    assert float(form) == pytest.approx(float(pixels), rel=0.15)
    root = root_of(metric)
    assert torch.allclose(root.T @ root, metric)


def test_a_prediction_that_says_nothing_has_an_error_of_one(data: LocalData) -> None:
    coding = data.coding
    y = torch.cat([coding.decoded(np.array(s.y[::3])).flatten(2) for s in data.squares], 2)[
        ..., None
    ]
    mean = coding.mean[None, :, None, None].expand_as(y)
    assert float(coding.error(mean, y).mean()) == pytest.approx(1, abs=0.01)
    assert float(coding.error(y, y).mean()) == 0


# training


@pytest.mark.parametrize("pixels", [False, True])
def test_a_resumed_run_equals_an_unbroken_one(
    release: Release, data: LocalData, tmp_path: Path, *, pixels: bool
) -> None:
    recipe = replace(RECIPE, pixels=pixels)
    whole = train(release, data, tmp_path / "whole", 6, recipe=recipe)
    train(release, data, tmp_path / "parts", 2, recipe=recipe)
    parts = train(release, data, tmp_path / "parts", 6, recipe=recipe, resume=True)
    (a, about), (b, other) = (checkpoint.load(path) for path in (whole, parts))
    assert about["step"] == other["step"] == 6
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.parametrize("pixels", [False, True])
def test_training_lowers_what_it_minimises(
    release: Release, data: LocalData, tmp_path: Path, *, pixels: bool
) -> None:
    tokenizer = release.model.tokenizer
    recipe = replace(RECIPE, length=60, pixels=pixels)
    path = train(release, data, tmp_path, 60, recipe=recipe)
    models = begun(recipe, tokenizer, CPU).model, trained_predictor(path, tokenizer)
    batch = Batches(data, tokenizer, 12, 1).batch(0, 0)
    with torch.no_grad():
        decoder = tokenizer if pixels else None
        before, after = (float(loss_of(m, batch, data.coding, decoder=decoder)) for m in models)
    assert after < 0.9 * before
    if not pixels:
        errors = [held_out_error(m, tokenizer, data, data.coding) for m in models]
        assert errors[1] < 0.9 * errors[0]


def test_the_loss_is_the_sum_of_its_terms(release: Release, data: LocalData) -> None:
    tokenizer = release.model.tokenizer
    model = begun(RECIPE, tokenizer, CPU).model
    batch = Batches(data, tokenizer, 4, 0).batch(0, 0)
    with torch.no_grad():
        tokens = float(loss_of(model, batch, data.coding))
        pixels = float(loss_of(model, batch, data.coding, decoder=tokenizer, bootstrap=False))
        both = float(loss_of(model, batch, data.coding, decoder=tokenizer))
    assert tokens > 0 and pixels > 0
    assert both == pytest.approx(tokens + pixels)


def test_presets_differ_in_their_terms() -> None:
    presets = predictor_stage.PRESETS
    terms = {name: (presets[name].pixels, presets[name].bootstrap) for name in presets}
    assert terms["base"] == (False, True)
    assert terms["pixels"] == (True, False)
    assert terms["both"] == (True, True)


def test_the_length_in_steps_ends_a_run(release: Release, data: LocalData, tmp_path: Path) -> None:
    path = train(release, data, tmp_path, 100, recipe=replace(RECIPE, length=3))
    assert checkpoint.load(path)[1]["step"] == 3


def test_squares_of_a_step_are_those_of_its_number(release: Release, data: LocalData) -> None:
    batches = Batches(data, release.model.tokenizer, 4, 0)
    assert torch.equal(batches.batch(3, 0).y, batches.batch(3, 0).y)
    assert not torch.equal(batches.batch(3, 0).y, batches.batch(3, 1).y)
    assert {batches.batch(i, 0).y.shape[2] for i in range(20)} == {14, 16}


def test_the_released_weights_are_what_a_model_predicts(release: Release, data: LocalData) -> None:
    tokenizer = release.model.tokenizer
    model = begun(RECIPE, tokenizer, CPU, dict(release.model.state_dict())).model
    values = Batches(data, tokenizer, 4, 0).batch(0, 0).values
    with torch.no_grad():
        expected = tokenizer.predicted(values)[:, : tokenizer.config.coarse_channels]
        assert torch.equal(model(values), expected)
    with pytest.raises(WeightsError, match="of these sizes"):
        begun(replace(RECIPE, scale=4.0), tokenizer, CPU, dict(release.model.state_dict()))


def test_scales_have_so_many_times_the_parameters(codec: Any) -> None:
    config = codec.tokenizer.config
    counts = {
        scale: sum(
            p.numel() for p in Predictor(PredictorSizes.of(config, scale), config).parameters()
        )
        for scale in (0.5, 1.0, 2.0, 4.0)
    }
    for scale, count in counts.items():
        assert count == pytest.approx(scale * counts[1.0], rel=0.1)


def test_a_gradient_that_is_not_finite_changes_nothing(release: Release) -> None:
    run = begun(RECIPE, release.model.tokenizer, CPU)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    total = torch.stack([p.sum() for p in run.model.parameters()]).sum()
    with pytest.raises(WeightsError, match="step 0 is not finite"):
        update(run, total * torch.nan, 1)
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())


def test_pixels_that_were_not_kept_are_told(
    release: Release, data: LocalData, tmp_path: Path
) -> None:
    bare = replace(data, squares=tuple(replace(s, pixels=None) for s in data.squares))
    with pytest.raises(DatasetError, match="without pixels"):
        train(release, bare, tmp_path, 1, recipe=replace(RECIPE, pixels=True))


# the stage


def test_a_stage_gives_a_predictor_and_goes_on_from_it(
    photographs: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = load_release(folder=tiny_weights)
    monkeypatch.setattr(predictor_stage, "load_release", lambda: release)
    given: dict[str, Any] = {"classes": photographs / "classes", "device": "cpu"}
    first = predictor_stage.predictor_stage(
        "tiny",
        tmp_path / "run",
        held_out=photographs,
        warm_start=release.path,
        steps=2,
        **given,
    )
    assert first == tmp_path / "run" / "checkpoint.safetensors"
    made = trained_predictor(first, release.model.tokenizer)
    assert made(torch.zeros(1, 8, 7, 7)).shape == (1, 16, 14, 14)
    second = predictor_stage.predictor_stage(
        "tiny", tmp_path / "more", warm_start=first, steps=1, **given
    )
    assert checkpoint.load(second)[1]["step"] == 1
    with pytest.raises(ArgumentError, match="unknown preset"):
        predictor_stage.predictor_stage("none", tmp_path / "run")
    with pytest.raises(WeightsError, match="no checkpoint of a predictor"):
        checkpoint.save(tmp_path / "x.safetensors", torch.nn.Linear(1, 1), {}, [], {})
        trained_predictor(tmp_path / "x.safetensors", release.model.tokenizer)
