"""The detail layers made differentiable: what training learns by, and the encoder refines by.

It walks the steps of the codec in the codec's order; what a step does to its channels is in
`soft_symbols`.
Letters: B images, C local channels, H W rows and columns of the latent grid.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from sbtcodec.entropy.entropy_parameters import EntropyParameters, gain_offset
from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE
from sbtcodec.rdo.soft_symbols import Channels, coded_channels
from sbtcodec.tokenizer.bootstrap import checkerboard
from sbtcodec.tokenizer.model import Tokenizer


class Known(NamedTuple):
    """What a decoder knows before the first detail layer.

    Attributes:
        features: of the predictor, float [B, widths[2], H, W].
        y_hat: its first estimate of the local tokens, float32 [B, C, H, W].
        scale_features: of the scale network, activations [B, width, H, W].
        integer_anchor_weights: of the quality, 64 is one: [B, anchors, 1, 1].
        log_gain: logarithm of the steps per unit, float32 [B, C, 1, 1].
    """

    features: Tensor
    y_hat: Tensor
    scale_features: Tensor
    integer_anchor_weights: Tensor
    log_gain: Tensor


def known_from_tokens(
    tokenizer: Tokenizer,
    scales: EntropyParameters,
    values: Tensor,
    integers: Tensor,
    anchor_weights: Tensor,
) -> Known:
    """What a decoder knows when it has the global tokens, differentiable; for training.

    Args:
        tokenizer: the float networks.
        scales: the network that picks the tables.
        values: of the global tokens, in (-1, 1), [B, dims, H / 2, W / 2].
        integers: the same as inputs of `scales`: centred levels.
        anchor_weights: of the quality, float32 [B, anchors].
    """
    features, y_hat = tokenizer.predictor(values)
    return Known(
        features,
        y_hat.float(),
        scales.features(integers),
        torch.floor(anchor_weights * ANCHOR_WEIGHT_ONE + 0.5)[:, :, None, None],
        tokenizer.log_gains_at(anchor_weights),
    )


class Details(NamedTuple):
    """What coding the local tokens gives.

    Attributes:
        y_hat: the local tokens as the decoder will have them, float32 [B, C, H, W].
        bits: of each latent, with noise under normal distributions, float32 [B, H, W].
        coded_bits: of each latent, those of rounded symbols under the tables given, float32
            [B, H, W]; 0 without tables. No gradient.
    """

    y_hat: Tensor
    bits: Tensor
    coded_bits: Tensor


def detail_pass(
    tokenizer: Tokenizer,
    scales: EntropyParameters,
    known: Known,
    y: Tensor,
    layers: Tensor,
    noise: Tensor | None,
    costs: Tensor | None = None,
    bit_weight: Tensor | None = None,
    exact: bool = False,
    search: bool = False,
) -> Details:
    """Code the local tokens.

    Args:
        tokenizer: the float networks.
        scales: the network that picks the tables.
        known: what the decoder knows already.
        y: the local tokens, float32 [B, C, H, W].
        layers: int64 [B], detail layers that are sent.
        noise: float32 [B, C, H, W], uniform in (-0.5, 0.5), which the rate sees instead of
            rounding; without it, the rate is that of chosen symbols, straight-through.
        costs: bits of the symbols 0..MAX_SYMBOL under each table, float32 [tables, MAX_SYMBOL + 1].
        bit_weight: squared steps that a bit is worth where a symbol is chosen, float32 [B]; none
            for the nearest symbols.
        exact: rates are those of symbols, `noise` has a part in their gradient alone, and gradients
            are those of `slopes_of`. Straight through symbols, they would not see that a prediction
            stays where a zero is sent, as most are at low qualities, and drifts.
        search: with `exact`, y gets all of the gradient of what is decoded of it: a search asks for
            what the decoder would rather have, whether or not its symbol would change for a hair.
    """
    t = tokenizer
    y_hat = known.y_hat
    gain, offset = known.log_gain.exp(), gain_offset(known.log_gain)
    seen = torch.zeros_like(y)
    bits = torch.zeros_like(y[:, 0])
    coded_bits = bits
    at = layers.view(-1, 1, 1, 1)
    worth = None if bit_weight is None else bit_weight.view(-1, 1, 1, 1)
    for step in range(t.steps):
        group, parity = divmod(step, 2)
        channels = t.config.group_slice(group)
        coded_now = checkerboard(y.shape[2], y.shape[3], parity, y.device)
        sent = (at > group).to(y.dtype)

        head, mine, rest = torch.split(
            y_hat,
            [channels.start, channels.stop - channels.start, y.shape[1] - channels.stop],
            1,
        )
        width = mine.shape[1]
        if step < len(t.refiners):  # beyond, fine channels are not predicted
            # correct everything not yet sent; a file that ends at this layer still gets the first
            delta = t.refiners[step](known.features, y_hat).float()
            reach = (at >= group).to(y.dtype) if parity == 0 else sent
            open_latents = coded_now if parity == 1 else torch.ones_like(coded_now)
            mine = mine + delta[:, :width] * (open_latents * reach)
            rest = rest + delta[:, width:] * reach

        total = scales.sums(step, known.scale_features, known.integer_anchor_weights, seen).float()
        coded = coded_channels(
            Channels(
                y=y[:, channels],
                predicted=mine,
                gain=gain[:, channels],
                offset=offset[:, channels],
                total=total,
                noise=noise if noise is None else noise[:, channels],
                here=coded_now & (at > group),
                costs=costs,
                worth=worth,
                shapes=scales.shapes,
                exact=exact,
                search=search,
            )
        )
        bits = bits + coded.bits
        coded_bits = coded_bits if coded.coded_bits is None else coded_bits + coded.coded_bits
        y_hat = torch.cat([head, coded.y_hat, rest], 1)
        number = scales.seen_of(coded.symbols)
        before, _, after = torch.split(seen, [channels.start, width, y.shape[1] - channels.stop], 1)
        now = torch.where(coded_now, number, seen[:, channels])
        seen = torch.cat([before, now, after], 1)
    return Details(y_hat, bits, coded_bits)
