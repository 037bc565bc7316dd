"""Frozen integer networks in NumPy: what selects a probability while a file is coded.

The same sums as those of `integer_net`, where they are proven to stay below 2^24, so that products
of float32 count them exactly in any order. No setting of torch reaches them. Rows of places are
[n, C]; planes are [H, W, C].
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.units import (
    ACTIVATION_MAX,
    KNOWN,
    SUMS_FREE,
    SUMS_PER_INDEX,
    SUMS_PER_LOGIT,
    TABLES,
    VALUE_ONE,
    WEIGHT_ONE,
)

FEW = 2**17  # numbers that a layer takes at once

Floats = NDArray[Any]  # float32 that holds integers; float64 where products of float32 do not
Arrays = Mapping[str, NDArray[Any]]
"""Weights and biases of a network by name, as files store them: integers."""


@cache
def kind_of_products() -> np.dtype[Any]:
    """float32, if its products are exact here as far as sums reach, else float64.

    Libraries for matrices can be told to round factors to fewer bits.
    """
    odd = np.arange(1, 2 * 64 * 64, 2, dtype=np.int64).reshape(64, 64)
    for kind in (np.float32, np.float64):
        sums = odd.astype(kind) @ np.eye(64, dtype=kind) * 2047
        if np.array_equal(sums.astype(np.int64), odd * 2047):
            return np.dtype(kind)
    raise ArithmeticError("products of matrices are not exact in float64; reinstall NumPy")


def _proven(weight: NDArray[Any], bias: NDArray[Any], name: str) -> None:
    """Check that no partial sum of a layer leaves the range in which float32 counts exactly.

    Raises:
        OverflowError: one could.
    """
    most = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(1) * ACTIVATION_MAX
    if int((most + np.abs(bias.astype(np.int64))).max()) >= SUMS_FREE:
        raise OverflowError(f"integer layer {name} could exceed 2^24")


def activate(total: Floats) -> Floats:
    """Accumulators, in units of activations and with a half added, to activations, in place."""
    np.clip(total, 0, ACTIVATION_MAX, out=total)
    return np.floor(total, out=total)


class Pointwise:
    """A product at every place: [..., c_in] -> [..., c_out], or a convolution as one.

    It gives accumulators, an integer number of steps of `unit`, plus a half: what `floor` then
    rounds. As units are powers of two, that is as exact as integers are.
    """

    def __init__(self, arrays: Arrays, name: str, unit: float = 1 / WEIGHT_ONE) -> None:
        """Take `name`'s weight [c_out, c_in, k, k] and bias [c_out]."""
        kind = kind_of_products()
        weight = arrays[f"{name}.weight"]
        _proven(weight, arrays[f"{name}.bias"], name)
        self.kernel = weight.shape[2]
        flat = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
        self.weight = np.ascontiguousarray(flat.astype(kind)) * kind.type(unit)
        self.bias = arrays[f"{name}.bias"].astype(kind) * kind.type(unit) + kind.type(0.5)

    def __call__(self, x: Floats) -> Floats:
        """Of x [n, c_in], or [H, W, c_in] if the kernel is larger than one: [n, c_out]."""
        if self.kernel > 1:
            x = np.concatenate(list(_shifted(x)), -1).reshape(-1, len(self.weight))
        total: Floats = x @ self.weight
        total += self.bias
        return total


class Depthwise:
    """A 3x3 convolution of each channel alone: [H, W, C] -> the same shape."""

    def __init__(self, arrays: Arrays, name: str) -> None:
        """Take `name`'s weight [C, 1, 3, 3] and bias [C]."""
        kind = kind_of_products()
        weight = arrays[f"{name}.weight"]
        _proven(weight, arrays[f"{name}.bias"], name)
        unit = kind.type(1 / WEIGHT_ONE)
        self.taps = np.ascontiguousarray(weight.reshape(len(weight), -1).T.astype(kind)) * unit
        self.bias = arrays[f"{name}.bias"].astype(kind) * unit + kind.type(0.5)

    def __call__(self, x: Floats) -> Floats:
        """Accumulators, as those of `Pointwise`.

        Rows are taken as they lie in memory, columns and channels in one: NumPy is twice as fast
        on few long rows as on many short ones. What runs over an edge lands in columns that fill up
        a row, and is cut off.
        """
        height, width, channels = x.shape
        length = (width + 2) * channels
        padded = np.zeros((height + 3, width + 2, channels), x.dtype)
        padded[1 : height + 1, 1:-1] = x
        flat = padded.reshape(-1)
        taps = np.tile(self.taps, width + 2)
        total = np.empty((height, length), x.dtype)
        total[:] = np.tile(self.bias, width + 2)
        rows = max(1, FEW // length)  # whose numbers stay in the cache
        product = np.empty((min(rows, height), length), x.dtype)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            for number, tap in enumerate(taps):
                i, j = divmod(number, 3)
                start = (top + i) * length + j * channels
                s = flat[start : start + count * length].reshape(count, length)
                total[top : top + count] += np.multiply(s, tap, out=product[:count])
        return total.reshape(height, width + 2, channels)[:, :width]


def _shifted(x: Floats) -> Iterable[Floats]:
    """The nine neighbours of every place of [H, W, C], zeros outside, as the taps go."""
    height, width, channels = x.shape
    padded = np.zeros((height + 2, width + 2, channels), x.dtype)
    padded[1:-1, 1:-1] = x
    for i in range(3):
        for j in range(3):
            yield padded[i : i + height, j : j + width]


class Residuals:
    """Pairs of layers, depthwise and pointwise, each added to its input."""

    def __init__(self, arrays: Arrays, pairs: Iterable[tuple[str, str]]) -> None:
        """Take the pairs of these names."""
        self.pairs = [(Depthwise(arrays, a), Pointwise(arrays, b)) for a, b in pairs]

    def __call__(self, h: Floats, places: NDArray[np.bool_] | None = None) -> Floats:
        """Activations [n, C] where `places` [H, W] is true, or everywhere, row by row."""
        height, width, channels = h.shape
        for number, (depthwise, mix) in enumerate(self.pairs):
            around = activate(depthwise(h))
            last = number == len(self.pairs) - 1
            if last and places is not None:  # what is left to do sees no neighbours
                around, h = around[places], h[places]
            around, h = (t.reshape(-1, channels) for t in (around, h))
            total = mix(around)
            total += h
            h = activate(total)
            if not last:
                h = h.reshape(height, width, channels)
        return h


def deeper_pairs(arrays: Arrays, name: str) -> list[tuple[str, str]]:
    """The names of the pairs of layers that a module list holds: `name.0.0`, `name.0.1`, ..."""
    count = sum(key.startswith(f"{name}.") and key.endswith(".0.weight") for key in arrays)
    return [(f"{name}.{i}.0", f"{name}.{i}.1") for i in range(count)]


def centred(levels: NDArray[np.int64], counts: Iterable[int]) -> Floats:
    """Levels [..., dims] as integer inputs in -56..56: floor(64 (2l + 1 - K) / K)."""
    k = np.array(list(counts), dtype=np.int64)
    inputs: Floats = ((2 * levels + 1 - k) * VALUE_ONE // k).astype(kind_of_products())
    return inputs


class ExactPrior:
    """Logits of the levels of global tokens; see `sbtcodec.entropy.prior.Prior`."""

    def __init__(self, arrays: Arrays, levels: tuple[int, ...]) -> None:
        """Take a prior's arrays for tokens of these levels."""
        self.levels = levels
        self.enter = Pointwise(arrays, "enter")
        self.residuals = Residuals(arrays, [("depthwise", "mix"), *deeper_pairs(arrays, "deeper")])
        self.mix_more = Pointwise(arrays, "mix_more")
        hidden = [Pointwise(arrays, f"hidden.{d}") for d in range(len(levels))]
        unit = 1 / SUMS_PER_LOGIT
        self.heads = [Pointwise(arrays, f"heads.{d}", unit) for d in range(len(levels))]
        width = self.mix_more.weight.shape[1]
        # what all dimensions make of the features is one product, what each adds is its own
        self.from_features = np.concatenate([h.weight[:width] for h in hidden], 1)
        self.bias = np.concatenate([h.bias for h in hidden])
        self.from_levels = [h.weight[width:] for h in hidden]

    def context(
        self, z: Floats, known: NDArray[np.bool_], places: NDArray[np.bool_]
    ) -> list[Floats]:
        """What each dimension's head sees of the known tokens, at some places.

        Args:
            z: centred levels [h, w, dims]; what is unknown is ignored.
            known: [h, w].
            places: [h, w], n of them.

        Returns:
            For each dimension accumulators [n, hidden].
        """
        height, width = known.shape
        plane = known[..., None].astype(z.dtype)
        h = activate(self.enter(np.concatenate([z * plane, plane * KNOWN], -1)))
        h = self.residuals(h.reshape(height, width, -1), places)
        total = activate(self.mix_more(h)) @ self.from_features
        total += self.bias
        return np.split(total, len(self.levels), 1)

    def logits(self, context: list[Floats], z: Floats, dim: int) -> NDArray[np.int64]:
        """Integer logits [n, K] of dimension `dim`, given the dimensions before it.

        Args:
            context: of `context`.
            z: centred levels [n, dims]; only dimensions below `dim` are read.
            dim: 0-based dimension.
        """
        total = context[dim] + z[:, :dim] @ self.from_levels[dim]
        logits: NDArray[np.int64] = np.floor(self.heads[dim](activate(total))).astype(np.int64)
        return logits


class ExactEntropyParameters:
    """Tables of detail symbols; see `sbtcodec.entropy.entropy_parameters`."""

    def __init__(self, arrays: Arrays, *, shapes: int, signs: bool) -> None:
        """Take the arrays of the network that picks tables."""
        self.shapes, self.signs = shapes, signs
        self.trunk_enter = Pointwise(arrays, "trunk.0")
        self.trunk = Residuals(arrays, [("trunk.1", "trunk.2")])
        self.trunk_leave = Pointwise(arrays, "trunk.3")
        steps = sum(key.startswith("heads.") and key.endswith(".weight") for key in arrays)
        self.enter = [Pointwise(arrays, f"enter.{s}") for s in range(steps)]
        self.residuals = [
            Residuals(
                arrays,
                [(f"depthwise.{s}", f"mix.{s}"), *deeper_pairs(arrays, f"deeper.{s}")],
            )
            for s in range(steps)
        ]
        unit = 1 / SUMS_PER_INDEX
        self.heads = [Pointwise(arrays, f"heads.{s}", unit) for s in range(steps)]
        self.width = self.enter[0].weight.shape[1]
        magnitudes = arrays["magnitudes"].astype(np.int16)
        below = magnitudes[:0:-1]
        # what is seen of -last..last, and, if bytes hold that, of the bytes that symbols are in
        self.seen = np.concatenate([-below if signs else below, magnitudes])
        small = self.seen.take(np.arange(-128, 128) + len(below), mode="clip")
        fits = np.abs(small).max() < 128
        self.seen_of_bytes = np.roll(small, 128).astype(np.int8).tobytes() if fits else b""

    def features(self, z: Floats) -> Floats:
        """Centred levels [h, w, dims] -> activations [2h, 2w, width]."""
        height, width = z.shape[:2]
        h = activate(self.trunk_enter(z)).reshape(height, width, -1)
        h = activate(self.trunk_leave(self.trunk(h)))
        h = h.reshape(height, width, self.width, 2, 2).transpose(0, 3, 1, 4, 2)
        return h.reshape(2 * height, 2 * width, self.width)

    def seen_of(self, q: NDArray[np.integer]) -> NDArray[np.int8 | np.int16]:
        """What the network sees of symbols: magnitudes, with the sign of q if it sees signs."""
        if q.dtype == np.int8 and self.seen_of_bytes:  # a sixth of the time
            return np.frombuffer(q.tobytes().translate(self.seen_of_bytes), np.int8).reshape(
                q.shape
            )
        places = np.add(q, len(self.seen) // 2, dtype=np.intp)
        seen: NDArray[np.int16] = self.seen.take(places, mode="clip")
        return seen

    def indices(
        self,
        step: int,
        features: NDArray[Any],
        anchor_weights: NDArray[np.int64],
        seen: NDArray[np.int8 | np.int16],
        places: NDArray[np.bool_],
        gain_offsets: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        """Indices of the tables of a step's symbols, uint8 [n, channels of its layer].

        Args:
            step: 2 * layer + parity.
            features: of `features`, of any dtype.
            anchor_weights: integers [anchors], 64 is one.
            seen: `seen_of` the symbols of all channels sent before, [H, W, C], 0 where unknown.
            places: bool [H, W], n of them.
            gain_offsets: of the layer's channels.
        """
        height, width = features.shape[:2]
        enter, kind = self.enter[step], self.enter[step].weight.dtype
        own, told, sent = self.width, len(anchor_weights), seen.shape[2]
        weights = np.split(enter.weight, [own, own + told, own + told + sent])
        parts = [(features, weights[0]), (np.abs(seen), weights[2])]
        if self.signs:
            parts.append((seen, weights[3]))
        total = np.empty((height * width, own), kind)
        total[:] = enter.bias + anchor_weights.astype(kind) @ weights[1]  # everywhere the same
        for part, weight in parts:
            total += part.reshape(height * width, -1).astype(kind, copy=False) @ weight
        h = activate(total).reshape(height, width, own)
        sums = self.heads[step](self.residuals[step](h, places))
        count = len(gain_offsets)
        sums[:, :count] += gain_offsets.astype(kind) * kind.type(1 / SUMS_PER_INDEX)
        np.floor(sums, out=sums)
        index = np.clip(sums[:, :count], 0, TABLES - 1)
        if self.shapes > 1:
            index += TABLES * np.clip(sums[:, count:], 0, self.shapes - 1)
        return index.astype(np.uint8)
