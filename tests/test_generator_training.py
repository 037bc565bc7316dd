"""Training of the generator: its tokens are kept, it resumes, learns, and gives a weights file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.codec.codec import Codec
from sbtcodec.errors import ArgumentError, DatasetError, WeightsError
from sbtcodec.generation.config import AUTOREGRESSIVE, SIDE, WINDOW, GeneratorConfig
from sbtcodec.generation.generator import Generator
from sbtcodec.generation.transformer import Transformer
from sbtcodec.models.release import Release, load_release
from sbtcodec.runtime.memory import SPARE
from sbtcodec.training import checkpoint, generator_stage, token_data
from sbtcodec.training.generator_run import (
    GeneratorTraining,
    Windows,
    begun,
    train_generator,
)
from sbtcodec.training.generator_step import held_out_bits, known_tokens, loss_of
from sbtcodec.training.token_data import NO_CLASS, TokenData, square
from sbtcodec.training.token_data import token_data as tokens_of_photographs
from sbtcodec.training.token_run import update

CONFIG = GeneratorConfig((4, 3, 2), ("a", "b"), width=32, depth=2, heads=2, head_width=32)
RECIPE = GeneratorTraining(minutes=60, batch=8, warmup_steps=3)


@pytest.fixture(scope="module")
def data() -> TokenData:
    """Windows whose tokens say their class: what can be learnt."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(-1, 2, 60))
    levels = torch.zeros(60, WINDOW, 3, dtype=torch.uint8)
    levels[:, :, 0] = labels[:, None] + 1
    levels[:, :, 1] = torch.from_numpy(rng.integers(0, 3, (60, 1)))
    return TokenData(levels, labels, ("a", "b"), torch.arange(60))


def train(data: TokenData, out: Path, steps: int, **options: Any) -> Path:
    config, recipe = options.pop("config", CONFIG), options.pop("recipe", RECIPE)
    return train_generator(recipe, config, data, out=out, steps=steps, **options)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates of learning that depend on steps alone: the clock of the run stands still."""
    monkeypatch.setattr("sbtcodec.training.loop.clock", lambda _device: 0.0)


@pytest.mark.usefixtures("still")
def test_a_resumed_run_equals_an_unbroken_one(data: TokenData, tmp_path: Path) -> None:
    whole = train(data, tmp_path / "whole", 6)
    train(data, tmp_path / "parts", 2)
    parts = train(data, tmp_path / "parts", 6, resume=True)
    (a, about), (b, other) = (checkpoint.load(path) for path in (whole, parts))
    assert about["step"] == other["step"] == 6
    assert about["generator"] == CONFIG.to_json() | {"levels": [4, 3, 2], "classes": ["a", "b"]}
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[name]) for name, value in a.items())


def test_memory_that_is_free_is_bounded_now_and_then(
    data: TokenData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []
    monkeypatch.setattr("sbtcodec.training.loop.give_back", called.append)
    train(data, tmp_path / "seldom", 2)
    assert called == []
    monkeypatch.setattr("sbtcodec.training.loop.SECONDS_PER_LOG_LINE", 0)
    train(data, tmp_path / "often", 2)
    assert called == [SPARE, SPARE]


@pytest.mark.parametrize("order", ["masked", AUTOREGRESSIVE])
def test_training_lowers_the_bits_of_a_token(data: TokenData, tmp_path: Path, order: str) -> None:
    config = replace(CONFIG, order=order)
    path = train(data, tmp_path, 60, config=config)
    tensors, _ = checkpoint.load(path)
    model, before = Transformer(config), begun(RECIPE, config, torch.device("cpu")).model
    model.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("ema.")})
    labels = torch.where(data.labels == NO_CLASS, config.no_class, data.labels)
    bits = [held_out_bits(m, data.levels, labels) for m in (before, model)]
    assert bits[0] == pytest.approx(np.log2(24), abs=0.01)  # nothing is known at first
    assert bits[1] < 0.8 * bits[0]


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    run = begun(RECIPE, CONFIG, torch.device("cpu"))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    total = torch.stack([p.sum() for p in run.model.parameters()]).sum()
    with pytest.raises(WeightsError, match="step 0 is not finite"):
        update(run, total * torch.nan, 1)
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    assert all(torch.equal(v, before[k]) for k, v in run.averaged.items())


def test_windows_of_a_step_are_those_of_its_number(data: TokenData) -> None:
    windows = Windows(data, CONFIG, RECIPE)
    for a, b in zip(windows.batch(3, 0), windows.batch(3, 0), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(windows.batch(3, 0)[0], windows.batch(3, 1)[0])
    many = Windows(data, CONFIG, replace(RECIPE, batch=4000))
    levels, known, labels = many.batch(0, 0)
    assert levels.shape == (4000, WINDOW, 3) and known.shape == (4000, WINDOW)
    share = {label: float((labels == label).float().mean()) for label in range(CONFIG.labels)}
    assert share[CONFIG.any] == pytest.approx(0.1, abs=0.02)
    assert share[CONFIG.no_class] == pytest.approx(0.9 * 0.35, abs=0.03)
    told = labels < CONFIG.no_class
    assert torch.equal(levels[told][:, 0, 0], labels[told] + 1)


def test_at_least_one_token_is_hidden_and_all_may_be() -> None:
    rng = torch.Generator().manual_seed(0)
    known = known_tokens(CONFIG, 4000, rng)
    hidden = (~known).sum(1)
    assert hidden.min() >= 1 and hidden.max() == WINDOW
    whole = known.view(-1, SIDE, SIDE)[:500]  # rectangles come first
    rows, columns = whole.any(2), whole.any(1)
    blocks = (rows[:, :, None] & columns[:, None]) == whole
    assert blocks.all((1, 2)).float().mean() > 0.3
    assert not known_tokens(replace(CONFIG, order=AUTOREGRESSIVE), 5, rng).any()


def test_the_loss_is_of_hidden_tokens_alone(data: TokenData) -> None:
    model = begun(RECIPE, CONFIG, torch.device("cpu")).model
    levels, labels = data.levels[:4].long(), torch.zeros(4, dtype=torch.int64)
    known = torch.zeros(4, WINDOW, dtype=torch.bool)
    known[:, 1:] = True
    assert loss_of(model, levels, known, labels).item() == pytest.approx(np.log(24), abs=1e-4)


# tokens of photographs


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory, photo: NDArray[np.uint8]) -> Path:
    """Two classes of a photograph each, and one photograph without a class."""
    folder = tmp_path_factory.mktemp("photographs")
    for name, turn in (("classes/tench", 0), ("classes/church", 1), ("plain", 2)):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.rot90(photo, turn)).save(folder / name / "photo.png")
    return folder


@pytest.fixture(scope="module")
def release(tiny_weights: Path) -> Release:
    return load_release(folder=tiny_weights)


def test_tokens_are_in_the_order_of_the_folders_and_kept(
    release: Release, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"classes": photographs / "classes", "plain": photographs / "plain"}
    found = tokens_of_photographs(release, tmp_path, each=(2, 3), **given)
    assert found.classes == ("church", "tench")
    assert found.labels.tolist() == [0, 0, 1, 1, NO_CLASS, NO_CLASS, NO_CLASS]
    assert found.photographs.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert found.levels.shape == (7, WINDOW, 8) and found.levels.dtype == torch.uint8
    monkeypatch.setattr(token_data, "tokens_of_squares", None)  # nothing is computed again
    again = tokens_of_photographs(release, tmp_path, each=(2, 3), **given)
    assert torch.equal(again.levels, found.levels) and torch.equal(again.labels, found.labels)
    with pytest.raises(TypeError):
        tokens_of_photographs(release, tmp_path, each=(2, 4), **given)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="delete it"):
        tokens_of_photographs(release, tmp_path, each=(2, 3), **given)


def test_the_first_square_of_a_photograph_is_its_middle(
    release: Release, tiny_codec: Codec, photographs: Path, tmp_path: Path
) -> None:
    found = tokens_of_photographs(release, tmp_path, classes=photographs / "classes", each=(1, 1))
    image = Image.open(photographs / "classes" / "tench" / "photo.png")
    left = (image.width - image.height) / 2
    middle = image.resize(
        (256, 256), Image.Resampling.LANCZOS, box=(left, 0, left + image.height, image.height)
    )
    assert np.array_equal(square(image, None), np.asarray(middle))
    tokens = tiny_codec.tokenize(middle, globals_only=True).levels.reshape(WINDOW, -1)
    # computed in another precision: a few levels may be others
    assert (tokens == found.levels[1].numpy()).mean() > 0.95


def test_other_squares_lie_inside_and_are_those_of_the_seed(photo: NDArray[np.uint8]) -> None:
    image = Image.fromarray(photo)
    made = [square(image, np.random.default_rng(s)) for s in (0, 0, 1)]
    assert all(m.shape == (256, 256, 3) and m.dtype == np.uint8 for m in made)
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_folders_without_photographs_are_told(release: Release, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "church").mkdir(parents=True)
    for given, sentence in (
        ({"classes": tmp_path / "none"}, "holds no folders"),
        ({"classes": empty / "church"}, "holds no folders"),
        ({"classes": empty}, "church"),
        ({"plain": empty}, "empty"),
        ({}, "there are no photographs"),
    ):
        with pytest.raises(DatasetError, match=sentence):
            tokens_of_photographs(release, tmp_path / "kept", **given)
    assert not (tmp_path / "kept").exists()


# the stage


def test_a_stage_gives_a_generator_that_samples(
    photographs: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    for path in tiny_weights.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(generator_stage, "load_release", lambda: load_release(folder=folder))
    path = generator_stage.generator_stage(
        "tiny",
        tmp_path / "run",
        classes=photographs / "classes",
        data=photographs / "plain",
        steps=2,
        device="cpu",
        export=folder,
    )
    assert path == tmp_path / "run" / "checkpoint.safetensors"
    made = Generator.load("cpu", weights=folder)
    assert made.classes == ("church", "tench")
    assert made.card["steps"] == 2
    (tokens,) = made.sample(1, label="tench", steps=1)
    assert Codec.load("cpu", weights=folder).detokenize(tokens).size == (256, 256)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [g["model"] for g in manifest["generators"]] == [1]
    with pytest.raises(ArgumentError, match="unknown preset"):
        generator_stage.generator_stage("none", tmp_path / "run")
    held_out = tmp_path / "held-out"
    (held_out / "dog").mkdir(parents=True)
    Image.new("RGB", (300, 300), "teal").save(held_out / "dog" / "a.png")
    with pytest.raises(ArgumentError, match="has the classes dog, expected church, tench"):
        generator_stage.generator_stage(
            "tiny",
            tmp_path / "run",
            classes=photographs / "classes",
            held_out=held_out,
            steps=1,
            device="cpu",
        )
