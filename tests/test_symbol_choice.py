"""Which detail symbols are sent: the nearest, or the next nearer to zero where bits are dear."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sbtcodec.codec.codec import Codec
from sbtcodec.entropy.coder import UNSEEN_COST, DetailTables
from sbtcodec.entropy.entropy_parameters import MAX_SYMBOL, TABLES
from sbtcodec.entropy.frequencies import gaussian_tables
from sbtcodec.entropy.prior import centred
from sbtcodec.latents.blocks import RGB
from sbtcodec.models.config import CodecModel
from sbtcodec.rdo.soft_quantisation import (
    Details,
    Known,
    chosen,
    detail_pass,
    known_from_tokens,
    table_bits,
)
from sbtcodec.rdo.symbol_choice import chosen_symbols
from sbtcodec.training.config import MODELS


@pytest.fixture(scope="module")
def costs() -> np.ndarray:
    return DetailTables(gaussian_tables()).costs


def some(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    residual = rng.normal(0, 2, count).astype(np.float32)
    return residual, rng.integers(0, TABLES, count).astype(np.uint8)


def test_bits_are_those_of_the_tables(costs):
    assert costs.shape == (TABLES, MAX_SYMBOL + 1)
    table = gaussian_tables()[30]
    m = len(table) // 2
    assert np.exp2(-costs[30, 1 : m + 1]).sum() * 2 + np.exp2(-costs[30, 0]) == pytest.approx(1)
    assert (costs[30, m + 1 :] == UNSEEN_COST).all()
    assert costs[0, 0] == 0  # not sent


def test_without_a_weight_the_nearest_are_sent(costs):
    residual, tables = some(1000)
    assert (chosen_symbols(residual, tables, costs, 0.0) == np.rint(residual)).all()
    assert chosen_symbols(np.float32([1e6, -1e6]), tables[:2], costs, 0.0).tolist() == [
        MAX_SYMBOL,
        -MAX_SYMBOL,
    ]


def test_what_is_sent_costs_least_of_the_nearest_and_the_next_nearer_to_zero(costs):
    residual, tables = some(5000)
    weight = 0.1
    q = chosen_symbols(residual, tables, costs, weight)
    nearest = np.rint(residual).astype(int)
    less = nearest - np.sign(nearest)

    def cost(symbols):
        return (residual - symbols) ** 2 + weight * costs[tables, np.abs(symbols)]

    assert np.allclose(cost(q), np.minimum(cost(nearest), cost(less)), atol=1e-5)
    assert 0 < (q != nearest).mean() < 1
    assert (np.abs(q) <= np.abs(nearest)).all()


def test_training_chooses_the_same_and_lets_gradients_through(costs):
    residual, tables = some(5000)
    r = torch.from_numpy(residual).requires_grad_()
    index, table_costs = torch.from_numpy(tables).long(), torch.from_numpy(costs)
    q = chosen(r, lambda symbols: table_bits(table_costs, index, symbols), torch.tensor(0.1))
    assert (q.detach().numpy().round() == chosen_symbols(residual, tables, costs, 0.1)).all()
    (gradient,) = torch.autograd.grad(q.sum(), r)
    assert (gradient == 1).all()
    assert (chosen(r, lambda symbols: symbols, None) == r.round()).all()


def pass_of(model: CodecModel, known: Known, y: torch.Tensor, *, exact: bool) -> Details:
    layers, worth = torch.tensor([4]), torch.tensor([0.08])
    t = model.tokenizer
    return detail_pass(t, model.scales, known, y, layers, None, bit_weight=worth, exact=exact)


@pytest.fixture
def tokens() -> tuple[CodecModel, Known, torch.Tensor]:
    """A tiny model, what it knows of a picture, and local tokens of it."""
    torch.manual_seed(5)
    model = CodecModel(MODELS["tiny"]).requires_grad_(requires_grad=False)
    t = model.tokenizer
    levels = torch.stack([torch.randint(0, k, (1, 2, 2)) for k in t.config.levels], 1)
    values, integers = t.fsq.to_values(levels.float()), centred(levels, t.config.levels).float()
    weights = t.anchor_weights(torch.tensor([100.0]))
    known = known_from_tokens(t, model.scales, values, integers, weights)
    return model, known, known.y_hat + 2 * torch.randn_like(known.y_hat)


def test_what_is_predicted_learns_from_what_its_symbols_leave(tokens) -> None:
    """The gradient is the slope of the error while no symbol changes; straight-through it is not.

    Where most symbols are zeros, nothing else would hold the prediction to the picture.
    """
    model, known, y = tokens
    torch.manual_seed(6)
    direction = torch.randn_like(y)

    def error(by: torch.Tensor, *, exact: bool = True) -> torch.Tensor:
        moved = known._replace(y_hat=known.y_hat + by * direction)
        return (pass_of(model, moved, y, exact=exact).y_hat - y).double().square().sum()

    step = 1e-4
    slope = (error(torch.tensor(step)) - error(torch.tensor(-step))) / (2 * step)
    found = {}
    for exact in (True, False):
        by = torch.zeros((), requires_grad=True)
        (gradient,) = torch.autograd.grad(error(by, exact=exact), by)
        found[exact] = float(gradient)
    assert found[True] == pytest.approx(float(slope), rel=0.02)
    assert found[False] != pytest.approx(float(slope), rel=0.2)


def test_rates_are_those_of_symbols_and_noise_moves_gradients_alone(tokens) -> None:
    model, known, y = tokens
    t, layers = model.tokenizer, torch.tensor([4])
    noise = torch.rand_like(y) - 0.5
    y.requires_grad_()
    plain, noisy = (
        detail_pass(t, model.scales, known, y, layers, n, exact=True) for n in (None, noise)
    )
    assert torch.equal(plain.y_hat, noisy.y_hat)
    assert torch.allclose(plain.bits, noisy.bits, atol=1e-3)
    assert torch.autograd.grad(plain.y_hat.sum(), y, retain_graph=True)[0].abs().sum() > 0
    (gradient,) = torch.autograd.grad(noisy.bits.sum(), y)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("effort", [3, 4])
def test_a_model_that_says_so_spends_fewer_bits_and_its_files_open(
    codec: Codec, photo: RGB, effort: int
) -> None:
    plain = codec.compress(photo, 60, effort=effort)
    release = replace(codec.release, recipe=codec.release.recipe | {"bit_weights": [0.1, 0.1]})
    other = Codec(release, codec.device)
    data = other.compress(photo, 60, effort=effort)
    assert len(data) < 0.97 * len(plain)
    assert np.abs(codec.decode(data).rgb.astype(float) - photo).mean() < 12
