"""The distributions of the detail symbols: an integer network picks a table for every symbol.

A symbol q is the rounded residual of a local channel to its prediction, in steps. Its table (an
index into zero-mean distributions of growing scale) is computed from what the decoder already holds
as integers: the global tokens, the quality, and the symbols sent before.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.entropy.integer_net import (
    IntegerConv,
    IntegerNet,
    activate,
    residual,
    residual_layers,
    residuals,
    spans,
)
from sbtcodec.entropy.units import MAX_SYMBOL, SCALE_MIN, SCALE_STEP, SUMS_PER_INDEX, TABLES


def magnitude_table() -> Tensor:
    """What the network sees of |q|: round(16 log2(1 + |q|)), float32 [MAX_SYMBOL + 1].

    Made once, when a model is exported, and shipped with it as integers, because a logarithm may
    round differently elsewhere.
    """
    symbols = torch.arange(MAX_SYMBOL + 1, dtype=torch.float64, device="cpu")
    return (16 * torch.log2(1 + symbols)).round().float()


class EntropyParameters(IntegerNet):
    """Table indices of the symbols of each step, two steps (checkerboard) for each detail layer."""

    magnitudes: Tensor

    def __init__(
        self,
        levels: tuple[int, ...],
        groups: tuple[int, ...],
        anchors: int,
        width: int = 96,
        trunk: int = 128,
        shapes: int = 1,
        depth: int = 1,
        *,
        signs: bool = False,
    ) -> None:
        """Networks for detail layers of `groups` channels, and quality as weights of `anchors`.

        The rest are the sizes of `sbtcodec.models.config.ModelConfig`.
        """
        super().__init__()
        self.shapes, self.signs = shapes, signs
        sums = 1 if shapes == 1 else 2  # for each channel
        self.groups = spans(groups)
        self.trunk = nn.ModuleList(
            [
                IntegerConv(len(levels), trunk, kernel=3),
                IntegerConv(trunk, trunk, kernel=3, depthwise=True),
                IntegerConv(trunk, trunk),
                IntegerConv(trunk, 4 * width),
            ]
        )
        seen = [s.start if parity == 0 else s.stop for s in self.groups for parity in (0, 1)]
        faces = 2 if signs else 1  # of each symbol
        self.enter = nn.ModuleList([IntegerConv(width + anchors + faces * n, width) for n in seen])
        self.depthwise = nn.ModuleList(
            [IntegerConv(width, width, kernel=3, depthwise=True) for _ in seen]
        )
        self.mix = nn.ModuleList([IntegerConv(width, width, gain=0.7) for _ in seen])
        self.deeper = nn.ModuleList([residuals(depth - 1, width) for _ in seen])
        self.heads = nn.ModuleList(
            [IntegerConv(width, sums * groups[step // 2], gain=0.5) for step in range(len(seen))]
        )
        for step, head in enumerate(self.heads):  # start at a scale of 1 step
            assert isinstance(head, IntegerConv)
            start = math.log(1 / SCALE_MIN) / SCALE_STEP / 4
            nn.init.constant_(head.bias[: groups[step // 2]], start)
        self.seen = seen
        self.register_buffer("magnitudes", magnitude_table())

    def features(self, z: Tensor) -> Tensor:
        """Centred levels [B, dims, H, W] -> activations [B, width, 2H, 2W]."""
        enter, depthwise, mix, leave = self.trunk
        h = activate(enter(z))
        h = residual(depthwise, mix, h)
        return activate(F.pixel_shuffle(leave(h), 2))

    def seen_of(self, q: Tensor) -> Tensor:
        """What the network sees of integer-valued symbols q: numbers of the same shape.

        Magnitudes, which are activations; with the sign of q where signs are seen too.
        """
        magnitude = self.magnitudes[q.abs().long().clamp_max(MAX_SYMBOL)]
        return magnitude * q.sign() if self.signs else magnitude

    def sums(
        self,
        step: int,
        features: Tensor,
        anchor_weights: Tensor,
        seen: Tensor,
    ) -> Tensor:
        """Scale accumulators [B, channels of the group, H, W] for one step, before the gains.

        Where there are tables of several shapes, as many accumulators of shapes follow.

        Args:
            step: 2 * group + parity.
            features: activations [B, width, H, W] of `features`.
            anchor_weights: integers [B, anchors, 1, 1] or [B, anchors, H, W], 64 is one.
            seen: `seen_of` all earlier symbols, [B, >= seen channels, H, W], 0 where unknown.
        """
        _, _, height, width = features.shape
        told = anchor_weights.expand(-1, -1, height, width)
        # joined along the last dimension in memory, which is several times as fast
        before = seen[:, : self.seen[step]]
        faces = (before.abs(), before) if self.signs else (before,)
        parts = (features, told, *faces)
        x = torch.cat([t.permute(0, 2, 3, 1) for t in parts], -1).permute(0, 3, 1, 2)
        h = activate(self.enter[step](x))
        deeper = self.deeper[step]
        assert isinstance(deeper, nn.ModuleList)
        layers = [(self.depthwise[step], self.mix[step]), *deeper]
        h = residual_layers(layers, h)
        total: Tensor = self.heads[step](h)
        return total


def gain_offset(log_gains: Tensor) -> Tensor:
    """The shift of the scale accumulators that corresponds to gains of exp(log_gains)."""
    return log_gains * (SUMS_PER_INDEX / SCALE_STEP)


def table_index(total: Tensor, gain_offset: Tensor, shapes: int = 1) -> Tensor:
    """Accumulators and integer gain offsets to table indices, integer-valued float.

    Args:
        total: of `EntropyParameters.sums`, [B, C, H, W], or with shapes [B, 2 C, H, W].
        gain_offset: of the C channels, [B or 1, C, 1, 1], or without the first dimension.
        shapes: of tables.

    Returns:
        [B, C, H, W], 0..63, and TABLES more for each shape.
    """
    scales = total[:, : gain_offset.shape[-3]] + gain_offset
    index = torch.floor(scales * (1.0 / SUMS_PER_INDEX) + 0.5).clamp(0, TABLES - 1)
    if shapes == 1:
        return index
    shape = torch.floor(total[:, gain_offset.shape[-3] :] * (1.0 / SUMS_PER_INDEX) + 0.5)
    return index + TABLES * shape.clamp(0, shapes - 1)
