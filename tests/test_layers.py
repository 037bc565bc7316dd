"""The float networks' layers compute what their textbook forms do, however they go about it."""

import pytest
import torch
from torch import Tensor, nn

from sbtcodec.tokenizer import folding, layers
from sbtcodec.tokenizer.adapter import LocalAdapter
from sbtcodec.tokenizer.config import ADAPTER_DEPTH
from sbtcodec.tokenizer.layers import Block, Pointwise, channels_last, pixel_rows
from sbtcodec.tokenizer.token_adapter import TokenAdapter
from sbtcodec.training.config import TINY_TOKENIZER


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-5, rtol=1e-5)


def same_weights(module: nn.Module, like: nn.Module) -> None:
    module.load_state_dict(like.state_dict())


@pytest.fixture
def pixels() -> Tensor:
    return pixel_rows(torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(1)))


def test_unfolding_undoes_folding(pixels: Tensor) -> None:
    for side in (2, 4):
        there = folding.Fold(side)(pixels)
        assert there.shape == (2, 3 * side * side, 24 // side, 32 // side)
        assert torch.equal(folding.Unfold(side)(there), pixels)


def test_a_folded_convolution_is_pixel_unshuffle_and_a_convolution(pixels: Tensor) -> None:
    conv = nn.Conv2d(48, 8, 3, padding=1)
    ours = folding.FoldedConv(48, 8, 3, padding=1)
    same_weights(ours, conv)
    assert close(ours(folding.Fold(4)(pixels)), conv(nn.PixelUnshuffle(4)(pixels)))


def test_a_convolution_into_unfolding_is_one_and_pixel_shuffle(pixels: Tensor) -> None:
    conv = nn.Conv2d(3, 48, 3, padding=1)
    ours = folding.UnfoldingConv(3, 48, 3, padding=1)
    same_weights(ours, conv)
    assert close(folding.Unfold(4)(ours(pixels)), nn.PixelShuffle(4)(conv(pixels)))


def test_pointwise_layers_next_to_foldings_keep_the_order_of_their_weights(pixels: Tensor) -> None:
    plain, ours = Pointwise(12, 5), folding.FoldedPointwise(12, 5)
    nn.init.normal_(plain.bias)
    same_weights(ours, plain)
    assert close(ours(folding.Fold(2)(pixels)), plain(nn.PixelUnshuffle(2)(pixels)))
    plain, ours = Pointwise(3, 20), folding.UnfoldingPointwise(3, 20)
    nn.init.normal_(plain.bias)
    same_weights(ours, plain)
    assert close(folding.Unfold(2)(ours(pixels)), nn.PixelShuffle(2)(plain(pixels)))


def test_rows_are_joined_in_the_layout_that_they_have(pixels: Tensor) -> None:
    for rows in (0, 1, 5):
        whole = layers.joined(pixels[:, :, :rows], pixels[:, :, rows:])
        assert torch.equal(whole, pixels)
        assert whole.is_contiguous(memory_format=torch.channels_last)


def test_a_block_gives_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    block = channels_last(Block(16))
    for shape in ((1, 16, 40, 24), (2, 16, 7, 5), (1, 16, 1, 1)):
        x = pixel_rows(torch.randn(shape))
        before = x.clone()
        expected = block(x).detach()  # as in training
        for size in (layers.PIECE, 16 * 100):  # the whole at once; several, the last one smaller
            monkeypatch.setattr(layers, "PIECE", size)
            with torch.inference_mode():
                assert close(block(x), expected)
        assert torch.equal(x, before)


def some_adapter() -> LocalAdapter:
    torch.manual_seed(4)
    adapter = LocalAdapter(TINY_TOKENIZER)
    nn.init.normal_(adapter.head.weight, std=0.5)
    return adapter


def tokens(height: int, width: int) -> Tensor:
    return pixel_rows(torch.randn(1, TINY_TOKENIZER.local_channels, height, width))


def test_a_fresh_adapter_leaves_local_tokens_alone() -> None:
    y, anchor_weights = tokens(4, 6), torch.eye(TINY_TOKENIZER.gain_anchors)[:1]
    gain = torch.full((1, y.shape[1], 1, 1), 3.0)
    assert torch.equal(
        LocalAdapter(TINY_TOKENIZER)(y, torch.zeros_like(y), anchor_weights, gain), y
    )


def test_an_adapter_sees_no_further_than_it_says() -> None:
    adapter = some_adapter()
    y, anchor_weights = tokens(9, 9), torch.eye(TINY_TOKENIZER.gain_anchors)[3:4]
    gain = torch.full((1, y.shape[1], 1, 1), 3.0)
    changed = y.clone()
    changed[..., 4, 4] += 1
    zero = torch.zeros_like(y)
    moved = adapter(changed, zero, anchor_weights, gain) - adapter(y, zero, anchor_weights, gain)
    reached = torch.nonzero(moved.abs().sum((0, 1)) > 1e-6)
    assert (reached - 4).abs().max() == ADAPTER_DEPTH


def test_an_adapter_moves_tokens_less_where_steps_are_smaller() -> None:
    adapter = some_adapter()
    y, anchor_weights = tokens(5, 5), torch.eye(TINY_TOKENIZER.gain_anchors)[3:4]
    nn.init.zeros_(adapter.from_steps.weight)  # else it moves them by other numbers of steps too
    coarse, fine = (
        adapter(y, torch.zeros_like(y), anchor_weights, torch.full((1, y.shape[1], 1, 1), gain)) - y
        for gain in (1.0, 10.0)
    )
    assert close(coarse, 10 * fine)


def test_a_fresh_token_adapter_leaves_global_tokens_alone() -> None:
    torch.manual_seed(5)
    y, z = tokens(8, 12), torch.randn(1, len(TINY_TOKENIZER.levels), 4, 6)
    assert torch.equal(TokenAdapter(TINY_TOKENIZER, 2)(y, torch.zeros_like(y), z, z.tanh()), z)
