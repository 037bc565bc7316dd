"""Chains of small operations of a step as one CUDA kernel each, forward and backward.

At the sizes of training, the arithmetic of detail layers is mostly the starting of kernels and the
passing of intermediate numbers through memory: a hundred operations on a few megabytes. Gradients
are written out here; the same functions in torch's operations, `coded_channels` and `activate`, say
what they compute. Torch compiles a kernel at its first call.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sbtcodec.entropy import entropy_parameters, integer_net, prior
from sbtcodec.entropy.units import (
    ACTIVATION_MAX,
    MAX_SYMBOL,
    SCALE_MIN,
    SCALE_STEP,
    SUMS_PER_INDEX,
    TABLES,
    WEIGHT_ONE,
)
from sbtcodec.rdo import soft_quantisation, soft_symbols
from sbtcodec.rdo.soft_symbols import (
    CURVATURE,
    LEAK,
    SMALLEST_PROBABILITY,
    SMOOTHING,
    Channels,
    Coded,
)

Context = Any  # of an autograd function, which torch gives no type that knows what is saved
LARGEST_INDEX = TABLES - 1.0
ROOT_2, ROOT_PI = math.sqrt(2), math.sqrt(math.pi)

ACTIVATE = f"""template <typename T> T activated(T total) {{
    T v = ::floor(total * T({1 / WEIGHT_ONE}) + T(0.5));
    return v < T(0) ? T(0) : (v > T({ACTIVATION_MAX}) ? T({ACTIVATION_MAX}) : v);
}}"""
ACTIVATE_BACK = f"""template <typename T> T activated_back(T g, T total) {{
    T v = ::floor(total * T({1 / WEIGHT_ONE}) + T(0.5));
    return v < T(0) || v > T({ACTIVATION_MAX}) ? T(0) : g * T({1 / WEIGHT_ONE});
}}"""
SCALE = f"""template <typename T> T table_scale(T total, T offset) {{
    T v = (total + offset) * T({1 / SUMS_PER_INDEX});
    v = v < T(0) ? T(0) : (v > T({LARGEST_INDEX}) ? T({LARGEST_INDEX}) : v);
    return T({SCALE_MIN!r}) * ::exp(T({SCALE_STEP!r}) * ::floor(v + T(0.5)));
}}"""
SCALE_BACK = f"""template <typename T> T table_scale_back(T g, T scale, T total, T offset) {{
    T v = (total + offset) * T({1 / SUMS_PER_INDEX});
    T share = v < T(0) || v > T({LARGEST_INDEX}) ? T({LEAK}) : T(1);
    return g * scale * share * T({SCALE_STEP / SUMS_PER_INDEX!r});
}}"""
BITS = f"""template <typename T> T normal_bits(T magnitude, T inverse) {{
    T high = ::erf((T(0.5) - magnitude) * inverse);
    T p = T(0.5) * (high - ::erf((T(-0.5) - magnitude) * inverse));
    return -::log2(p < T({SMALLEST_PROBABILITY}) ? T({SMALLEST_PROBABILITY}) : p);
}}
"""
CHOSEN = f"""template <typename T> T chosen_symbol(T residual, T inverse, T worth) {{
    T nearest = ::rint(residual);
    T sign = nearest < T(0) ? T(-1) : (nearest == T(0) ? T(0) : T(1));
    T less = nearest - sign;
    T error = (residual - nearest) * (residual - nearest) - (residual - less) * (residual - less);
    T dearer = normal_bits(nearest * sign, inverse) - normal_bits(less * sign, inverse);
    T symbol = T(0) < error + worth * dearer ? less : nearest;
    symbol = symbol < T({-MAX_SYMBOL}) ? T({-MAX_SYMBOL}) : symbol;
    return T({MAX_SYMBOL}) < symbol ? T({MAX_SYMBOL}) : symbol;
}}
"""
CODE = f"""{BITS}{CHOSEN}template <typename T> void coded(T y, T predicted, T gain, T scale,
        T worth, T here, T& y_hat, T& symbol, T& cost, T& residual) {{
    T inverse = T(1) / (scale * T({ROOT_2!r}));
    residual = (y - predicted) * gain;
    symbol = chosen_symbol(residual, inverse, worth);
    cost = here * normal_bits(symbol < T(0) ? -symbol : symbol, inverse);
    y_hat = here == T(0) ? predicted : predicted + symbol / gain;
}}"""
CODE_BACK = f"""{BITS}{CHOSEN}template <typename T> void coded_back(T g, T g_cost, T residual,
        T noise, T scale, T gain, T worth, T here, T& g_y, T& g_predicted, T& g_scale) {{
    T inverse = T(1) / (scale * T({ROOT_2!r}));
    T angle = T({-2 * math.pi**2!r}) * scale * scale;
    T steady = T(1) - T(2) * (::exp(angle) - ::exp(T(4) * angle) + ::exp(T(9) * angle));
    T first = normal_bits(T(1), inverse) - normal_bits(T(0), inverse);
    first = (T(0.5) + worth * first * T(0.5)) / scale;
    T half = T(0.5) / scale;
    T moved = ::exp(first * first * T(-0.5)) - ::exp(half * half * T(-0.5));
    steady = steady + moved * T({math.sqrt(2 / math.pi)!r}) / scale;
    steady = steady < T(0) ? T(0) : (T(1) < steady ? T(1) : steady);
    T symbol = chosen_symbol(residual, inverse, worth);
    T sign = (symbol == T(0) ? residual : symbol) < T(0) ? T(-1) : T(1);
    T q = symbol * sign, magnitude = residual * sign;
    T bits = normal_bits(q, inverse);
    T above = normal_bits(q + T(1), inverse) - bits;
    T below = normal_bits(q == T(0) ? T(1) : q - T(1), inverse) - bits;
    T up = (q + T(0.5) + worth * above * T(0.5) - magnitude) * T({1 / SMOOTHING!r});
    T down = (q - T(0.5) - worth * below * T(0.5) - magnitude) * T({1 / SMOOTHING!r});
    up = ::exp(up * up * T(-0.5)) * T({1 / (SMOOTHING * math.sqrt(2 * math.pi))!r});
    down = ::exp(down * down * T(-0.5)) * T({1 / (SMOOTHING * math.sqrt(2 * math.pi))!r});
    T noisy = residual + noise;
    magnitude = noisy < T(0) ? -noisy : noisy;
    T high = (T(0.5) - magnitude) * inverse, low = high - inverse;
    T p = T(0.5) * (::erf(high) - ::erf(low));
    T slope = (::exp(-high * high) - ::exp(-low * low)) * inverse * T({1 / ROOT_PI!r});
    slope = p < T({SMALLEST_PROBABILITY}) ? T(0) : slope / (p * T({math.log(2)!r}));
    slope = steady * (noisy < T(0) ? -slope : slope);
    slope = slope + (T(1) - steady) * (up * above - down * below) * sign;
    slope = here * g_cost * gain * slope;
    T part = worth * T({CURVATURE});
    g_y = here * g * (steady + (T(1) - steady) * (up + down)) + slope;
    g_predicted = g * (T(1) - here * steady) - (part < T(1) ? T(1) - part : T(0)) * slope;
    high = (T(0.5) - q) * inverse;
    low = high - inverse;
    p = T(0.5) * (::erf(high) - ::erf(low));
    slope = (high * ::exp(-high * high) - low * ::exp(-low * low)) * T({1 / ROOT_PI!r});
    slope = here * g_cost * slope / (scale * p * T({math.log(2)!r}));
    g_scale = p < T({SMALLEST_PROBABILITY}) ? T(0) : slope;
}}"""


@cache
def kernel(code: str, outputs: int = 1) -> Callable[..., Any]:
    """A function of CUDA tensors, from code for one number of each."""
    if outputs == 1:
        one: Callable[..., Any] = torch.cuda.jiterator._create_jit_fn(code)
        return one
    several: Callable[..., Any] = torch.cuda.jiterator._create_multi_output_jit_fn(code, outputs)
    return several


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, total: Tensor) -> Tensor:
        ctx.save_for_backward(total)
        made: Tensor = kernel(ACTIVATE)(total)
        return made

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> Tensor:
        made: Tensor = kernel(ACTIVATE_BACK)(g, *ctx.saved_tensors)
        return made


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, total: Tensor, offset: Tensor) -> Tensor:
        scale: Tensor = kernel(SCALE)(total, offset)
        ctx.save_for_backward(scale, total, offset)
        return scale

    @staticmethod
    def backward(ctx: Context, g: Tensor) -> tuple[Tensor, None]:
        return kernel(SCALE_BACK)(g, *ctx.saved_tensors), None


class _Code(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        y: Tensor,
        predicted: Tensor,
        gain: Tensor,
        scale: Tensor,
        worth: Tensor,
        noise: Tensor,
        here: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        y_hat, symbols, cost, residual = kernel(CODE, 4)(y, predicted, gain, scale, worth, here)
        ctx.save_for_backward(residual, noise, scale, gain, worth, here)
        ctx.mark_non_differentiable(symbols)
        return y_hat, symbols, cost

    @staticmethod
    def backward(ctx: Context, g: Tensor, _: Tensor, g_cost: Tensor) -> tuple[Any, ...]:
        y, predicted, scale = kernel(CODE_BACK, 3)(g, g_cost, *ctx.saved_tensors)
        return y, predicted, None, scale, None, None, None


def activate(total: Tensor) -> Tensor:
    """As `integer_net.activate`."""
    made: Tensor = _Activate.apply(total)  # type: ignore[no-untyped-call]
    return made


def coded_channels(channels: Channels) -> Coded:
    """As `soft_symbols.coded_channels`; which it calls for what it does not know itself."""
    y, predicted, gain, offset, total, noise, here, costs, worth, _, exact, search = channels
    unknown = noise is None or worth is None or costs is not None or gain.requires_grad
    if unknown or search or not exact:
        return UNFUSED(channels)
    scale = _Scale.apply(total[:, : y.shape[1]], offset)  # type: ignore[no-untyped-call]
    y_hat, symbols, cost = _Code.apply(  # type: ignore[no-untyped-call]
        y, predicted, gain, scale, worth, noise, here.to(y.dtype)
    )
    return Coded(y_hat, symbols, cost.sum(1), None)


UNFUSED = soft_symbols.coded_channels
FUSED: tuple[tuple[object, str, Callable[..., Any]], ...] = (
    (integer_net, "activate", activate),
    (entropy_parameters, "activate", activate),
    (prior, "activate", activate),
    (soft_quantisation, "coded_channels", coded_channels),
)


@contextmanager
def fused_kernels() -> Iterator[None]:
    """Within, steps use these kernels; for the whole process, on CUDA."""
    before = [getattr(module, name) for module, name, _ in FUSED]
    try:
        for module, name, function in FUSED:
            setattr(module, name, function)
        yield
    finally:
        for (module, name, _), function in zip(FUSED, before, strict=True):
            setattr(module, name, function)
