"""Integer networks count exactly, whatever evaluates them."""

import numpy as np
import pytest
import torch

from sbtcodec.entropy.entropy_parameters import EntropyParameters, table_index
from sbtcodec.entropy.exact import ExactEntropyParameters, ExactPrior, kind_of_products
from sbtcodec.entropy.exact import centred as exact_centred
from sbtcodec.entropy.integer_net import IntegerConv, IntegerNet, activate
from sbtcodec.entropy.prior import Prior, centred
from sbtcodec.entropy.step_size import integer_anchor_weights, position
from sbtcodec.entropy.units import SUBGRIDS

LEVELS = (8, 8, 8, 8, 6, 6)


def some_prior() -> Prior:
    torch.manual_seed(3)
    prior = Prior(LEVELS, width=32, hidden=16)
    prior.freeze()
    return prior


def some_scales() -> EntropyParameters:
    torch.manual_seed(0)
    scales = EntropyParameters(LEVELS, (2, 4), anchors=3, width=16, trunk=16)
    scales.freeze()
    return scales


def some_levels(height: int, width: int, batch: int = 1) -> torch.Tensor:
    g = torch.Generator().manual_seed(5)
    return torch.stack(
        [torch.randint(0, k, (batch, height, width), generator=g) for k in LEVELS], 1
    )


@pytest.mark.parametrize("kernel, depthwise", [(1, False), (3, False), (3, True)])
def test_exact_evaluation_equals_integer_arithmetic(kernel: int, depthwise: bool) -> None:
    torch.manual_seed(0)
    conv = IntegerConv(8, 8, kernel=kernel, depthwise=depthwise)
    conv.freeze()
    x = torch.randint(0, 256, (2, 8, 7, 5)).float()
    weight, bias = (conv.weight * 128).long(), (conv.bias * 2048).long()
    padded = torch.nn.functional.pad(x.long(), [kernel // 2] * 4)
    expected = torch.zeros(2, 8, 7, 5, dtype=torch.int64) + bias[:, None, None]
    for i in range(kernel):
        for j in range(kernel):
            patch = padded[:, :, i : i + 7, j : j + 5]
            tap = weight[:, :, i, j]
            if depthwise:
                expected += patch * tap[:, 0, None, None]
            else:
                expected += torch.einsum("oc,bchw->bohw", tap, patch)
    assert torch.equal(conv(x).long(), expected)
    assert torch.equal(conv(x), conv(x).round())


def test_training_and_exact_evaluation_agree() -> None:
    torch.manual_seed(3)
    prior = Prior(LEVELS, width=32, hidden=16)
    z = centred(some_levels(6, 9), LEVELS).float()
    trained = prior(z)
    prior.freeze()
    for a, b in zip(trained, prior(z), strict=True):
        assert torch.equal(a, b)


def test_logits_do_not_depend_on_threads_batching_or_order() -> None:
    prior = some_prior()
    z = centred(some_levels(8, 12, batch=4), LEVELS).float()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = prior(z)
        torch.set_num_threads(2)
        two = prior(z)
    finally:
        torch.set_num_threads(threads)
    alone = [prior(z[i : i + 1]) for i in range(4)]
    in_float64 = Prior(LEVELS, width=32, hidden=16).double()
    in_float64.load_state_dict({k: v.double() for k, v in prior.state_dict().items()})
    in_float64.freeze()
    wide = in_float64(z.double())
    for d in range(len(LEVELS)):
        assert torch.equal(one[d], two[d])
        assert torch.equal(one[d], torch.cat([a[d] for a in alone]))
        assert torch.equal(one[d].double(), wide[d])


def test_prior_sees_only_what_was_coded_before() -> None:
    prior = some_prior()
    levels = some_levels(4, 4)
    before = prior(centred(levels, LEVELS).float())
    changed = levels.clone()
    changed[0, 3, 1, 1] = (changed[0, 3, 1, 1] + 1) % 8  # sub-grid 1, dimension 3
    after = prior(centred(changed, LEVELS).float())
    for d in range(4):
        assert torch.equal(before[d][..., 1, 1], after[d][..., 1, 1])
        assert torch.equal(before[d][..., 0::2, 0::2], after[d][..., 0::2, 0::2])
    assert not torch.equal(before[5][..., 1, 1], after[5][..., 1, 1])


def stored(network: IntegerNet) -> dict[str, np.ndarray]:
    """The integers of a network by name, as a weights file has them."""
    arrays = {}
    for name, conv in network.convs():
        arrays[f"{name}.weight"] = (conv.weight * 128).round().short().numpy()
        arrays[f"{name}.bias"] = (conv.bias * 2048).round().int().numpy()
    if isinstance(network, EntropyParameters):
        arrays["magnitudes"] = network.magnitudes.int().numpy()
    return arrays


def rows(t: torch.Tensor) -> np.ndarray:
    return t[0].permute(1, 2, 0).numpy()


@pytest.fixture(params=[np.float32, np.float64])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbtcodec.entropy.exact.kind_of_products", lambda: np.dtype(request.param))


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("height, width", [(1, 1), (2, 5), (7, 4)])
def test_the_prior_in_numpy_gives_the_logits_of_training(height: int, width: int) -> None:
    torch.manual_seed(3)
    prior = Prior(LEVELS, width=32, hidden=16, depth=3)
    for pair in prior.deeper:
        torch.nn.init.normal_(pair[1].weight, std=0.3)
    prior.freeze()
    exact = ExactPrior(stored(prior), LEVELS)
    levels = some_levels(height, width)
    z = centred(levels, LEVELS).float()
    expected = [rows(logits) for logits in prior(z)]
    known = np.zeros((height, width), bool)
    inputs = exact_centred(rows(levels), LEVELS)
    assert np.array_equal(inputs, rows(z))
    for row, column in SUBGRIDS:
        places = np.zeros_like(known)
        places[row::2, column::2] = True
        if places.any():
            context = exact.context(inputs, known, places)
            for d, logits in enumerate(expected):
                assert np.array_equal(exact.logits(context, inputs[places], d), logits[places])
        known |= places


@pytest.mark.usefixtures("products")
@pytest.mark.parametrize("shapes, signs, depth", [(1, False, 1), (3, True, 2)])
def test_tables_in_numpy_are_those_of_training(shapes: int, signs: bool, depth: int) -> None:
    torch.manual_seed(0)
    groups, anchors = (2, 4), 3
    scales = EntropyParameters(
        LEVELS, groups, anchors, width=16, trunk=16, shapes=shapes, depth=depth, signs=signs
    )
    for pairs in scales.deeper:
        for pair in pairs:
            torch.nn.init.normal_(pair[1].weight, std=0.3)
    scales.freeze()
    exact = ExactEntropyParameters(stored(scales), shapes=shapes, signs=signs)
    levels = some_levels(3, 5)
    features = scales.features(centred(levels, LEVELS).float())
    assert np.array_equal(exact.features(exact_centred(rows(levels), LEVELS)), rows(features))
    q = torch.randint(-40, 41, (1, 6, 6, 10))
    seen = scales.seen_of(q.float())
    assert np.array_equal(exact.seen_of(rows(q)), rows(seen))
    anchor_weights = np.array([0, 40, 24])
    offsets = np.array([-3000, 0, 700, 5000, -100, 90])
    told = torch.from_numpy(anchor_weights).float()[None, :, None, None]
    for step, before in enumerate((0, 2, 2, 6)):
        start, stop = ((0, 2), (2, 6))[step // 2]
        places = np.add.outer(np.arange(6), np.arange(10)) % 2 == step % 2
        total = scales.sums(step, features, told, seen)
        offset = torch.from_numpy(offsets[start:stop]).float()[:, None, None]
        expected = rows(table_index(total, offset, shapes))[places]
        found = exact.indices(
            step,
            rows(features).astype(np.uint8),
            anchor_weights,
            rows(seen)[:, :, :before].astype(np.int16),
            places,
            offsets[start:stop],
        )
        assert np.array_equal(found, expected)
        assert len(np.unique(found)) > 5


def test_rounded_factors_of_products_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a library for matrices that is told to round to fewer bits."""

    class Rounding(np.ndarray):
        def __matmul__(self, other: np.ndarray) -> np.ndarray:
            if self.dtype == np.float32:
                bits = self.view(np.ndarray).view(np.uint32) & np.uint32(0xFFFF0000)
                return bits.view(np.float32) @ other
            return self.view(np.ndarray) @ other

    assert kind_of_products.__wrapped__() == np.float32
    arange = np.arange
    monkeypatch.setattr(
        "sbtcodec.entropy.exact.np.arange", lambda *a, **k: arange(*a, **k).view(Rounding)
    )
    assert kind_of_products.__wrapped__() == np.float64


def test_weights_that_could_overflow_are_refused() -> None:
    prior = some_prior()
    with torch.no_grad():
        prior.mix.weight.fill_(200.0)
    with pytest.raises(OverflowError, match="2\\^24"):
        prior.freeze()


def test_outputs_that_drifted_too_far_are_held_and_the_others_left_alone() -> None:
    prior = some_prior()
    with torch.no_grad():
        prior.mix.weight[3] = -200.0
        prior.mix.bias[3] = 5.0
    before = prior.mix.weight.clone()
    prior.mix.hold()
    prior.freeze()
    far = prior.mix.weight[3]
    assert -200 < far.max() == far.min() < 0
    others = torch.arange(len(before)) != 3
    assert (prior.mix.weight[others] - before[others]).abs().max() <= 0.5 / 128


def test_outputs_that_were_held_once_and_stored_stay_as_they_are() -> None:
    prior = some_prior()
    with torch.no_grad():
        prior.mix.weight.normal_(std=20.0)
        prior.mix.bias.normal_()
    prior.mix.hold()
    prior.freeze()
    stored = [p.clone() for p in (prior.mix.weight, prior.mix.bias)]
    prior.mix.hold()
    assert torch.equal(prior.mix.weight, stored[0])
    assert torch.equal(prior.mix.bias, stored[1])


def test_activation_rounds_half_up_and_clamps() -> None:
    total = torch.tensor([-64.0, -65.0, 63.0, 64.0, 191.0, 192.0, 1e6])
    assert activate(total).tolist() == [0, 0, 0, 1, 1, 2, 255]


def test_every_quality_code_is_another_step_size() -> None:
    places = [position(code, 7) for code in range(256)]
    assert places == sorted(set(places))
    assert places[0] == 0
    assert places[-1] == 6 * 64


@pytest.mark.parametrize("quality", [0, 1, 127, 128, 254, 255])
def test_hats_sum_to_one_and_touch_at_most_two_anchors(quality: int) -> None:
    anchor_weights = integer_anchor_weights(quality, 7)
    assert sum(anchor_weights) == 64
    assert sum(h > 0 for h in anchor_weights) <= 2


def test_scales_see_only_earlier_steps() -> None:
    scales = some_scales()
    features = scales.features(centred(some_levels(2, 2), LEVELS).float())
    anchor_weights = torch.tensor([64, 0, 0]).float().view(1, 3, 1, 1)
    seen = torch.zeros(1, 6, 4, 4)
    before = scales.sums(0, features, anchor_weights, seen)
    later = scales.sums(0, features, anchor_weights, torch.full_like(seen, 80.0))
    assert torch.equal(before, later)
    assert not torch.equal(
        scales.sums(2, features, anchor_weights, seen),
        scales.sums(2, features, anchor_weights, torch.full_like(seen, 80.0)),
    )
