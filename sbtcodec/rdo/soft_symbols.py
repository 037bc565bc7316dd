"""Symbols of detail layers, their bits and what is decoded of them, with gradients.

Rates see residuals with uniform noise, or symbols; the networks see symbols with a straight-through
gradient (Minnen & Singh, arXiv 2007.08739), or with the slopes of a smoothed choice. All of it is
arithmetic at each place alone.
Letters: B images, C channels, H W rows and columns of the latent grid.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from sbtcodec.entropy.entropy_parameters import table_index
from sbtcodec.entropy.units import MAX_SYMBOL, SCALE_MIN, SCALE_STEP, SUMS_PER_INDEX, TABLES
from sbtcodec.runtime.tensors import round_ste

SMALLEST_PROBABILITY = 1e-9
SMOOTHING = 0.25  # steps
LEAK = 0.05  # of a gradient beyond a clamp, against dead ends
CURVATURE = 6.0  # bits that squared error of a step is worth, as measured
OWN_RATE = 0.4  # of the gradient of its rate, for y in a search, where its symbol is chosen by rate


class Coded(NamedTuple):
    """What coding some channels gives, at places of one colour; C is their number.

    Attributes:
        y_hat: the channels as the decoder will have them, float32 [B, C, H, W].
        symbols: at all places, float32 [B, C, H, W]; no gradient.
        bits: float32 [B, H, W].
        coded_bits: as `Details` has them; None without tables.
    """

    y_hat: Tensor
    symbols: Tensor
    bits: Tensor
    coded_bits: Tensor | None


class Channels(NamedTuple):
    """Some channels to code, at places of one colour; C is their number.

    Attributes:
        y: the channels, float32 [B, C, H, W].
        predicted: of them, of the same shape.
        gain: steps per unit, float32 [B, C, 1, 1].
        offset: of the gain, as `symbol_scale` takes it, [B, C, 1, 1].
        total: accumulators that select their tables, and the shapes of these.
        noise: as of `detail_pass`, of these channels.
        here: where they are sent, bool [B, 1, H, W].
        costs: as of `detail_pass`.
        worth: squared steps that a bit is worth, float32 [B, 1, 1, 1].
        shapes: of tables.
        exact: as of `detail_pass`.
        search: as of `detail_pass`.
    """

    y: Tensor
    predicted: Tensor
    gain: Tensor
    offset: Tensor
    total: Tensor
    noise: Tensor | None
    here: Tensor
    costs: Tensor | None
    worth: Tensor | None
    shapes: int
    exact: bool
    search: bool = False


def coded_channels(channels: Channels) -> Coded:
    """Code some channels."""
    y, predicted, gain, offset, total, noise, here, costs, worth, shapes, exact, search = channels
    scale = symbol_scale(total[:, : y.shape[1]], offset)
    residual = (y - predicted) * gain
    if costs is None:
        bits_of = partial(gaussian_bits, scale=scale)
    else:
        bits_of = partial(table_bits, costs, table_index(total, offset, shapes).long())
    symbols = chosen(residual, bits_of, worth)
    if exact:
        symbols = symbols.detach()
        slopes = slopes_of(residual, symbols, scale, worth)
        cost = gaussian_bits(symbols, scale)
        if noise is not None:
            moved = residual
            if search and worth is not None:
                moved = moved - (1 - OWN_RATE) * gain * (y - y.detach())
            if worth is not None:
                # Where symbols are the best ones, the error alone tells what a prediction is
                # worth, at once with the rate (envelope theorem); so far as they are.
                part = (worth * CURVATURE).clamp_max(1)
                moved = moved + part * gain * (predicted - predicted.detach())
            smooth = gaussian_bits(moved + noise, scale.detach())
            pull = (1 - slopes.steady) * slopes.pull
            cost = cost + slopes.steady * (smooth - smooth.detach())
            cost = cost + pull * (moved - moved.detach())
    else:
        cost = gaussian_bits(symbols if noise is None else residual + noise, scale)
    q = symbols.clamp(-MAX_SYMBOL, MAX_SYMBOL)
    coded_bits = None if costs is None else (bits_of(q.detach()) * here).sum(1)
    known = predicted + q / gain
    if exact:
        share = slopes.steady + (1 - slopes.steady) * slopes.near
        known = known.detach() + (1 if search else share) * (y - y.detach())
        known = known + (1 - slopes.steady) * (predicted - predicted.detach())
    return Coded(torch.where(here, known, predicted), q.detach(), (cost * here).sum(1), coded_bits)


class Slopes(NamedTuple):
    """How symbols and their bits follow residuals, smoothed; no gradient, all of one shape.

    Attributes:
        steady: share of a gradient, 0 to 1, that is taken as if steps were small: the slope of the
            expected symbol of residuals that are normal at their table's scale.
        near: the slope of the expected symbol of this residual with normal noise of SMOOTHING
            steps, which the rest of the gradient takes: the density at the thresholds beside it.
        pull: the slope of its bits likewise, in bits a step; away from zero they grow.
    """

    steady: Tensor
    near: Tensor
    pull: Tensor


@torch.no_grad()
def slopes_of(residual: Tensor, symbols: Tensor, scale: Tensor, worth: Tensor | None) -> Slopes:
    """What gradients take for the slope of the choice of symbols, which has none.

    Where steps are small it is that of the identity. Where nearly all symbols are zeros, they
    follow y, and cost anything, only near a threshold; elsewhere the decoder has what was
    predicted, and the gradient is its. To give both all of it everywhere mostly adds noise: see
    `benchmarks/experiments.md`. That the slope is one of a smoothed quantiser is Agustsson and
    Theis's (arXiv 2006.09952), who smooth to one width everywhere.

    Args:
        residual: in steps, float32.
        symbols: chosen for it, of the same shape.
        scale: of its table, in steps, of the same shape.
        worth: squared steps that a bit is worth, which moves thresholds; else nothing does.
    """
    half = 0 if worth is None else worth / 2
    angle = -2 * math.pi**2 * scale.square()
    steady = 1 - 2 * angle.exp() + 2 * (4 * angle).exp() - 2 * (9 * angle).exp()
    zero = torch.zeros_like(scale)
    first = 0.5 + half * (gaussian_bits(zero + 1, scale) - gaussian_bits(zero, scale))
    moved = _exp_half_square(first / scale) - _exp_half_square(0.5 / scale)
    steady = steady + moved * (math.sqrt(2 / math.pi) / scale)

    q, sign = symbols.abs(), torch.where(symbols == 0, residual, symbols).sign()
    magnitude = residual * sign
    bits = gaussian_bits(q, scale)
    # what the next symbol on either side costs more; beyond zero is one of the other sign
    above, below = (gaussian_bits(q + by, scale) - bits for by in (1, -1))
    up = _exp_half_square((q + 0.5 + half * above - magnitude) / SMOOTHING)
    down = _exp_half_square((q - 0.5 - half * below - magnitude) / SMOOTHING)
    unit = 1 / (SMOOTHING * math.sqrt(2 * math.pi))
    return Slopes(steady.clamp(0, 1), (up + down) * unit, (up * above - down * below) * sign * unit)


def _exp_half_square(x: Tensor) -> Tensor:
    return torch.exp(x.square() / -2)


def chosen(residual: Tensor, bits: Callable[[Tensor], Tensor], bit_weight: Tensor | None) -> Tensor:
    """Symbols for residuals in steps, with a straight-through gradient; see `symbol_choice`.

    Args:
        residual: float32 of any shape.
        bits: of symbols of that shape.
        bit_weight: squared steps that a bit is worth; none for the nearest symbols.
    """
    if bit_weight is None:
        return round_ste(residual)
    with torch.no_grad():
        nearest = residual.round()
        less = nearest - nearest.sign()
        error = (residual - nearest).square() - (residual - less).square()
        dearer = bits(nearest) - bits(less)
        moved = torch.where(error + bit_weight * dearer > 0, less, nearest) - residual
    return residual + moved


def leaky_clamp(x: Tensor, low: float, high: float) -> Tensor:
    """Clamp in value, but let LEAK of the gradient through outside."""
    clamped = x.clamp(low, high)
    return clamped + LEAK * ((x - clamped) - (x - clamped).detach())


def symbol_scale(total: Tensor, gain_offset: Tensor) -> Tensor:
    """The scale, in steps, of the table that accumulators select; differentiable."""
    index = leaky_clamp((total + gain_offset) / SUMS_PER_INDEX, 0.0, TABLES - 1.0)
    index = index + (torch.floor(index + 0.5) - index).detach()
    return SCALE_MIN * torch.exp(SCALE_STEP * index)


def table_bits(costs: Tensor, index: Tensor, q: Tensor) -> Tensor:
    """Bits of symbols under tables.

    Args:
        costs: float32 [tables, MAX_SYMBOL + 1].
        index: of the tables, int64.
        q: integer-valued, of the same shape.
    """
    return costs[index, q.abs().long().clamp_max(MAX_SYMBOL)]


def gaussian_bits(residual: Tensor, scale: Tensor) -> Tensor:
    """Bits of a unit-wide interval around `residual` under a zero-mean normal of `scale`."""
    magnitude = residual.abs()
    inverse = 1.0 / (scale * math.sqrt(2.0))
    upper = torch.erf((0.5 - magnitude) * inverse)
    lower = torch.erf((-0.5 - magnitude) * inverse)
    return -torch.log2((0.5 * (upper - lower)).clamp_min(SMALLEST_PROBABILITY))
