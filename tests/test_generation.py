"""The generator: draws by integers, windows filled, grids of any size, and its weights files."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import random_transformer
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.errors import ArgumentError, ModelMismatchError, WeightsError
from sbtcodec.generation import windows
from sbtcodec.generation.config import AUTOREGRESSIVE, SIDE, WINDOW, GeneratorConfig
from sbtcodec.generation.draws import FLOOR, UNIT, Draws, drawn, steps_of
from sbtcodec.generation.facts import read_facts
from sbtcodec.generation.filling import Filler, Sampling
from sbtcodec.generation.generator import GROUP, Generator
from sbtcodec.generation.stored import (
    add_generator,
    load_generator,
    read_generator,
    write_generator,
)
from sbtcodec.generation.transformer import Transformer
from sbtcodec.models.registry import MANIFEST, read_manifest

LEVELS = (4, 3, 2)
MASKED = GeneratorConfig(LEVELS, ("a", "b"), width=32, depth=2, heads=2, head_width=16)
IN_ORDER = replace(MASKED, order=AUTOREGRESSIVE)


@pytest.fixture(autouse=True)
def without_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.fixture(params=[MASKED, IN_ORDER], ids=["masked", "autoregressive"])
def model(request: pytest.FixtureRequest) -> Transformer:
    return random_transformer(request.param)


def some_levels(n: int, h: int = SIDE, w: int = SIDE, seed: int = 0) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, k, (n, h, w)) for k in LEVELS], -1)


# draws


def test_levels_are_drawn_as_often_as_they_are_likely() -> None:
    logits = np.array([[0.0, 1.0, -2.0, -50.0]], np.float32)
    count = 40_000
    steps = np.repeat(steps_of(logits), count, 0)
    levels, nats = drawn(steps, Draws(3, 0).uniform(count))
    expected = np.exp(logits[0]) / np.exp(logits[0]).sum()
    found = np.bincount(levels, minlength=4) / count
    assert np.abs(found - expected).max() < 0.01
    assert found[3] == 0  # so far below the likeliest that it is never drawn
    assert np.abs(nats / UNIT + np.log(expected[levels])).max() < 1 / UNIT


def test_probabilities_of_what_is_drawn_sum_to_one() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (50, 7)).astype(np.float32)
    steps = steps_of(logits)
    assert steps.min() == 0 and steps.max() <= FLOOR
    ends = (np.arange(2**12) * 2**20).astype(np.int64)
    for row in steps[:5]:
        levels, nats = drawn(np.repeat(row[None], len(ends), 0), ends)
        each = {int(k): float(np.exp(-n / UNIT)) for k, n in zip(levels, nats, strict=True)}
        assert sum(each.values()) == pytest.approx(1, abs=0.02)


def test_draws_are_those_of_the_seed_and_the_number() -> None:
    assert np.array_equal(Draws(1, 2).uniform(9), Draws(1, 2).uniform(9))
    others = [Draws(1, 3).uniform(9), Draws(2, 2).uniform(9), Draws(2**80, 0).uniform(9)]
    assert all(not np.array_equal(Draws(1, 2).uniform(9), other) for other in others)
    # NumPy promises the stream of Philox; files in the wild were made with it
    assert Draws(1, 0).uniform(3).tolist() == [1807797818, 286912445, 746180478]


def test_logits_that_differ_by_rounding_draw_the_same() -> None:
    logits = np.round(np.random.default_rng(2).normal(0, 2, (500, 6)) * UNIT) / UNIT
    shaken = logits + np.random.default_rng(3).uniform(-1e-4, 1e-4, logits.shape)
    uniform = Draws(0, 0).uniform(500)
    a, b = (drawn(steps_of(x.astype(np.float32)), uniform) for x in (logits, shaken))
    assert np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])


# the network


def test_the_nats_of_a_token_are_those_of_its_dimensions_one_after_the_other() -> None:
    head = random_transformer(MASKED).head
    features = torch.randn(20, MASKED.width)
    levels = torch.from_numpy(some_levels(1).reshape(-1, 3)[:20])
    sums = head.sums(features)
    for d in range(3):
        logits = head.of_dimension(d, sums)
        assert logits.shape == (20, LEVELS[d])
        expected = -torch.log_softmax(logits, 1).gather(1, levels[:, d : d + 1])[:, 0]
        assert torch.allclose(head(features, levels)[:, d], expected, atol=1e-5)
        if d < 2:
            sums = sums + head.before(d, levels[:, d])


def test_probabilities_of_all_tokens_sum_to_one() -> None:
    head = random_transformer(MASKED).head
    every = torch.cartesian_prod(*[torch.arange(k) for k in LEVELS])
    features = torch.randn(1, MASKED.width).expand(len(every), -1)
    assert float(torch.exp(-head(features, every).sum(1)).sum()) == pytest.approx(1, abs=1e-5)


def test_in_order_a_token_is_predicted_from_those_before_it_alone() -> None:
    model = random_transformer(IN_ORDER)
    levels = torch.from_numpy(some_levels(2).reshape(2, WINDOW, 3))
    known, labels = torch.ones(2, WINDOW, dtype=torch.bool), torch.tensor([0, 1])
    before = model(levels, known, labels)
    changed = levels.clone()
    changed[:, 30] = (changed[:, 30] + 1) % torch.tensor(LEVELS)
    after = model(changed, known, labels)
    assert torch.equal(before[:, :31], after[:, :31])
    assert not torch.allclose(before[:, 31:], after[:, 31:])


def test_what_is_not_known_does_not_count() -> None:
    model = random_transformer(MASKED)
    known = torch.zeros(1, WINDOW, dtype=torch.bool)
    known[:, ::3] = True
    a, b = (torch.from_numpy(some_levels(1, seed=s).reshape(1, WINDOW, 3)) for s in (0, 1))
    b = torch.where(known[..., None], a, b)
    label = torch.tensor([0])
    assert torch.equal(model(a, known, label), model(b, known, label))
    assert not torch.equal(model(a, known, label), model(a, known, label + 1))


# filling


@pytest.mark.parametrize("steps", [1, 5, 64])
def test_what_is_known_stays_and_everything_else_is_drawn(model: Transformer, steps: int) -> None:
    levels = np.zeros((2, WINDOW, 3), np.int64)
    known = np.zeros((2, WINDOW), np.bool_)
    known[0, :20] = known[1, 5::7] = True
    levels[known] = some_levels(2).reshape(2, WINDOW, 3)[known]
    draws = [Draws(0, 0), Draws(0, 1)]
    filled = Filler(model, 0, Sampling(steps)).fill(levels, known, draws)
    assert np.array_equal(filled[known], levels[known])
    assert (filled >= 0).all() and (filled < np.array(LEVELS)).all()


def test_a_picture_does_not_depend_on_those_drawn_with_it(model: Transformer) -> None:
    filler = Filler(model, 1, Sampling(4, guidance=2.0))
    empty, unknown = np.zeros((3, WINDOW, 3), np.int64), np.zeros((3, WINDOW), np.bool_)
    together = filler.fill(empty, unknown, [Draws(7, i) for i in range(3)])
    alone = [filler.fill(empty[:1], unknown[:1], [Draws(7, i)])[0] for i in range(3)]
    assert np.array_equal(together, alone)
    again = filler.fill(empty, unknown, [Draws(7, i) for i in range(3)])
    assert np.array_equal(together, again)
    assert not np.array_equal(together[0], together[1])


def test_guidance_moves_draws_towards_the_class() -> None:
    model = random_transformer(MASKED)
    empty, unknown = np.zeros((16, WINDOW, 3), np.int64), np.zeros((16, WINDOW), np.bool_)
    draws = [[Draws(1, i) for i in range(16)] for _ in range(3)]
    nats = []
    for own, guidance in zip(draws, (0.0, 3.0), strict=False):
        made = torch.from_numpy(Filler(model, 0, Sampling(4, guidance)).fill(empty, unknown, own))
        hidden = torch.zeros(16, WINDOW, dtype=torch.bool)
        each = []
        for label in (0, MASKED.any):
            features = model(made, hidden, torch.full((16,), label))
            each.append(float(model.head(features.flatten(0, 1), made.flatten(0, 1)).sum(1).mean()))
        nats.append(each[0] - each[1])
    assert nats[1] < nats[0] - 0.1


# windows


@pytest.mark.parametrize(("h", "w"), [(1, 1), (3, 20), (8, 8), (9, 8), (13, 17)])
def test_every_token_of_any_grid_is_drawn_once(h: int, w: int) -> None:
    class Counting:
        def __init__(self) -> None:
            self.marks = 0

        def fill(self, levels: Any, known: Any, draws: Any) -> Any:
            assert levels.shape[1:] == (WINDOW, 3) and not known.all()
            assert (levels[known] > 0).all(), "what is known was never drawn"
            self.marks += 1
            return np.where(known[..., None], levels, self.marks)

    known = np.zeros((h, w), np.bool_)
    known[0, 0] = h * w > 1
    levels = np.zeros((2, h, w, 3), np.int64)
    levels[:, known] = 99
    filler: Any = Counting()
    made = windows.filled(filler, levels, known, [Draws(0, 0), Draws(0, 1)])
    assert made.shape == (2, h, w, 3)
    assert (made[:, known] == 99).all()
    assert ((made >= 1) & (made != 99))[:, ~known].all()
    assert not levels[:, ~known].any(), "what was given was changed"


def test_windows_cover_a_side_and_lie_half_a_window_apart() -> None:
    for length in range(1, 40):
        found = windows.starts(length)
        covered = {at + i for at in found for i in range(SIDE)}
        assert covered >= set(range(length))
        assert max(found) + SIDE <= max(length, SIDE)
        assert all(b - a <= windows.STRIDE for a, b in pairwise(found))


def test_a_window_with_more_known_tokens_is_filled_first() -> None:
    seen: list[int] = []

    class Noting:
        def fill(self, levels: Any, known: Any, draws: Any) -> Any:
            seen.append(int(known.sum()))
            return levels + 1

    known = np.zeros((8, 24), np.bool_)
    known[:, 20:] = True
    noting: Any = Noting()
    windows.filled(noting, np.zeros((1, 8, 24, 3), np.int64), known, [Draws(0, 0)])
    assert seen == [32, 32, 32, 32, 32]


# the generator


def test_a_seed_gives_the_same_pictures_whole_or_in_parts(generator: Generator) -> None:
    whole = generator.sample(3, label="tench", seed=4, steps=2, width=70, height=40)
    parts = [
        *generator.sample(1, label="tench", seed=4, steps=2, width=70, height=40),
        *generator.sample(2, label="tench", seed=4, steps=2, width=70, height=40, first=1),
    ]
    for a, b in zip(whole, parts, strict=True):
        assert np.array_equal(a.levels, b.levels)
    assert whole[0].levels.shape[:2] == (2, 3)
    assert not np.array_equal(whole[0].levels, whole[1].levels)
    other = generator.sample(1, label="church", seed=4, steps=2, width=70, height=40)
    assert not np.array_equal(other[0].levels, whole[0].levels)


def test_more_pictures_than_are_drawn_together_are_drawn(generator: Generator) -> None:
    assert generator.sample(0) == []
    assert len(generator.sample(GROUP + 1, steps=1)) == GROUP + 1


def test_a_sample_is_a_file_that_decodes_to_it(
    generator: Generator, generator_weights: Path
) -> None:
    codec = Codec.load("cpu", weights=generator_weights)
    (tokens,) = generator.sample(1, seed=2, steps=2, width=100, height=64)
    data = codec.compress_tokens(tokens)
    assert np.array_equal(codec.tokens_of(data).levels, tokens.levels)
    shown = np.asarray(codec.decompress(data))
    assert shown.shape == (64, 100, 3)
    assert np.array_equal(shown, np.asarray(codec.detokenize(tokens)))


def test_a_completion_keeps_the_known_tokens(generator: Generator) -> None:
    (tokens,) = generator.sample(1, width=300, height=100, steps=1)
    known = np.zeros(tokens.levels.shape[:2], np.bool_)
    known[1:, 4:] = True
    made = generator.complete(tokens, known, label="church", seed=3, steps=2)
    assert np.array_equal(made.levels[known], tokens.levels[known])
    assert (made.levels[~known] != tokens.levels[~known]).any()
    again = generator.complete(tokens, known, label="church", seed=3, steps=2)
    assert np.array_equal(made.levels, again.levels)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"label": "dog"}, "knows church, tench"),
        ({"width": 2049}, "width is 2049, expected 1 to 2048"),
        ({"steps": 0}, "steps is 0, expected 1 to 64"),
        ({"guidance": -1}, "guidance is -1"),
        ({"guidance": float("nan")}, "guidance is nan"),
        ({"count": -1}, "count is -1"),
        ({"seed": 0.5}, "seed is 0.5, expected a whole number"),
    ],
)
def test_arguments_out_of_range_are_refused(
    generator: Generator, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        generator.sample(**arguments)


def test_nothing_or_everything_known_is_no_completion(generator: Generator) -> None:
    (tokens,) = generator.sample(1, steps=1)
    for known in (np.ones((8, 8), np.bool_), np.zeros((8, 8), np.bool_)):
        with pytest.raises(ArgumentError, match="tokens are known"):
            generator.complete(tokens, known)
    with pytest.raises(ArgumentError, match=r"expected bool \[8, 8\]"):
        generator.complete(tokens, np.ones((8, 7), np.bool_))
    with pytest.raises(ModelMismatchError, match="made with model 9"):
        generator.complete(replace(tokens, model=9), np.eye(8, dtype=np.bool_))


# weights files


@pytest.fixture
def folder(generator_weights: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    for path in generator_weights.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_weights_file_gives_back_what_was_written(tmp_path: Path) -> None:
    model = random_transformer(IN_ORDER)
    path, card = tmp_path / "g.safetensors", {"steps": 3}
    write_generator(path, IN_ORDER, model.state_dict(), number=7, digest="ab", card=card)
    stored = read_generator(path)
    assert (stored.number, stored.digest, stored.card) == (7, "ab", card)
    assert stored.model.config == IN_ORDER
    for name, value in model.state_dict().items():
        assert torch.equal(stored.model.state_dict()[name], value.half().float())
    assert read_facts(path) == (IN_ORDER, 7, "ab", card)


def test_what_is_no_generator_is_refused(tmp_path: Path, tiny_weights: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no weights")
    for path in (text, tmp_path / "none", *tiny_weights.glob("*.safetensors")):
        for read in (read_generator, read_facts):
            with pytest.raises(WeightsError, match="does not hold a generator"):
                read(path)


def test_damaged_weights_are_refused(folder: Path) -> None:
    (path,) = folder.glob("generator-*.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="are damaged"):
        load_generator(folder=folder)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_generator(folder=folder)


def test_a_generator_of_other_weights_is_refused(folder: Path) -> None:
    manifest = folder / MANIFEST
    digest = read_manifest(folder).entry(1).digest
    manifest.write_text(manifest.read_text().replace(digest, "0" * len(digest)))
    with pytest.raises(ModelMismatchError, match="train one for it"):
        load_generator(folder=folder)
    (path,) = folder.glob("generator-*.safetensors")
    with pytest.raises(ModelMismatchError, match="train one for it"):
        add_generator(folder, path)


def test_a_generator_takes_the_place_of_the_one_before(folder: Path) -> None:
    (path,) = folder.glob("generator-*.safetensors")
    copy = folder / "copy.part"
    copy.write_bytes(path.read_bytes())
    add_generator(folder, copy, name="mine")
    assert [g.name for g in read_manifest(folder).generators] == ["mine"]
    assert Generator.load("cpu", weights=folder).name == "mine"
    assert not copy.exists()


def test_a_model_without_a_generator_is_told_with_those_that_have_one(folder: Path) -> None:
    with pytest.raises(ModelMismatchError, match="generator of model 8 .* have one: 1; train"):
        Generator.load("cpu", model=8, weights=folder)
