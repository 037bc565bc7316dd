"""Which detail symbols are sent: the nearest, or the next nearer to zero where bits are dear."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from sbtcodec.codec.codec import Codec
from sbtcodec.entropy.coder import UNSEEN_COST, DetailTables
from sbtcodec.entropy.frequencies import gaussian_tables
from sbtcodec.entropy.prior import centred
from sbtcodec.entropy.units import MAX_SYMBOL, SUMS_PER_INDEX, TABLES
from sbtcodec.latents.blocks import RGB
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.rdo.soft_quantisation import Details, Known, detail_pass, known_from_tokens
from sbtcodec.rdo.soft_symbols import (
    SMOOTHING,
    Channels,
    chosen,
    coded_channels,
    gaussian_bits,
    slopes_of,
    table_bits,
)
from sbtcodec.rdo.symbol_choice import chosen_symbols
from sbtcodec.runtime.tensors import held
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


GRID = torch.linspace(-9, 9, 36001)


def expected(what: torch.Tensor, centre: float, deviation: float) -> float:
    """The mean of values on the grid, with a normal density."""
    weights = torch.exp(-(((GRID - centre) / deviation) ** 2) / 2).double()
    return float((weights * what).sum() / weights.sum())


def slope_of(what: torch.Tensor, at: float, deviation: float) -> float:
    high, low = (expected(what, at + by, deviation) for by in (0.01, -0.01))
    return (high - low) / 0.02


@pytest.mark.parametrize("worth", [None, 0.08])
def test_gradients_take_the_slope_of_the_expected_symbol(worth: float | None) -> None:
    weight = None if worth is None else torch.tensor(worth)
    for scale in (0.12, 0.2, 0.3, 0.5, 0.8, 2.0):
        scales = torch.tensor(scale)
        q = chosen(GRID, partial(gaussian_bits, scale=scales), weight)
        steady = slopes_of(GRID, q, scales.expand_as(GRID), weight).steady
        assert (steady == steady[0]).all()
        assert float(steady[0]) == pytest.approx(slope_of(q, 0.0, scale), abs=0.06), scale
    for scale in (0.25, 0.4):
        scales = torch.tensor(scale)
        q = chosen(GRID, partial(gaussian_bits, scale=scales), weight)
        bits = gaussian_bits(q, scales)
        for at in (-1.1, -0.6, -0.1, 0.0, 0.3, 0.7, 0.9, 1.3):
            residual = torch.tensor(at)
            symbol = chosen(residual, partial(gaussian_bits, scale=scales), weight)
            found = slopes_of(residual, symbol, scales, weight)
            assert float(found.near) == pytest.approx(slope_of(q, at, SMOOTHING), abs=0.02), at
            wanted = slope_of(bits, at, SMOOTHING)
            assert float(found.pull) == pytest.approx(wanted, rel=0.1, abs=0.2), at


def test_the_prediction_or_y_learns_by_which_of_them_arrives(tokens) -> None:
    """Of zeros everywhere the decoder has what was predicted; of many small steps, y."""
    y = tokens[2]
    gain = torch.ones_like(y[:, :, :1, :1])
    offset, here = torch.zeros_like(gain), torch.ones_like(y[:, :1]) > 0

    def shares(deviation: float, index: float, *, search: bool = False) -> list[float]:
        predicted = y.detach() + deviation * torch.randn_like(y)
        inputs = [y.detach().requires_grad_(), predicted.requires_grad_()]
        total = torch.full_like(y, index * SUMS_PER_INDEX)
        worth = torch.tensor(0.08)
        given = Channels(*inputs, gain, offset, total, None, here, None, worth, 1, exact=True)
        out = coded_channels(given._replace(search=search))
        return [float(g.mean()) for g in torch.autograd.grad(out.y_hat.sum(), inputs)]

    assert shares(0.05, 0.0) == pytest.approx([0.0, 1.0], abs=0.01)
    assert shares(5.0, 50.0) == pytest.approx([1.0, 0.0], abs=0.01)
    # a search asks what y should have been, even where a hair more of it would not arrive
    assert shares(0.05, 0.0, search=True) == pytest.approx([1.0, 1.0], abs=0.01)


def test_no_crop_shouts_down_the_others() -> None:
    x = torch.randn(5, 3, 4).requires_grad_()
    loud = torch.randn(5, 3, 4)
    loud[2] *= 100
    (g,) = torch.autograd.grad((held(x, 4.0) * loud).sum(), x)
    norms, before = g.flatten(1).norm(dim=1), loud.flatten(1).norm(dim=1)
    assert torch.equal(g[[0, 1, 3, 4]], loud[[0, 1, 3, 4]])
    assert float(norms[2]) == pytest.approx(4 * float(before.median()), rel=1e-5)
    assert torch.equal(held(x, 4.0), x)
    (g,) = torch.autograd.grad((held(x, 4.0) * 0).sum(), x)
    assert torch.equal(g, torch.zeros_like(g))


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
