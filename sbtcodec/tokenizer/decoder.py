"""The decoder: local tokens, sent or predicted, to pixels."""

import math

import torch
from torch import Tensor, nn

from sbtcodec.grid import LATENT_STRIDE, Box
from sbtcodec.runtime.tensors import normal
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.folding import Unfold, UnfoldingConv, UnfoldingPointwise
from sbtcodec.tokenizer.layers import Block, Pointwise, part_of
from sbtcodec.tokenizer.noise import PLACES4

NOISE = 0.05  # what channels take of noise before they are trained


class Decoder(nn.Module):
    """y_hat -> x_hat: blocks at strides 16, 8 and 4, then depth-to-space.

    It is told the quality and how many detail layers arrived, as a bias at each stride: how much
    noise the tokens carry decides how much to smooth.
    """

    def __init__(self, config: TokenizerConfig, finest_width: int = 0) -> None:
        """Build the layers of `config`.

        Args:
            config: the sizes.
            finest_width: channels of a branch at stride 2, which adds to the pixels; 0 without it.
                Between squares of 4 x 4 pixels it draws what no square can know of the next one,
                and there and at stride 4 it is given noise, from which texture can be made.
        """
        super().__init__()
        c4, c8, c16 = config.widths
        n4, n8, n16 = config.decoder_depths
        self.coarse_channels = config.coarse_channels
        self.enter16 = Pointwise(config.coarse_channels, c16)
        self.stage16 = nn.Sequential(*[Block(c16) for _ in range(n16)])
        self.enter8 = nn.Sequential(UnfoldingPointwise(c16, 4 * c8), Unfold(2))
        self.stage8 = nn.Sequential(*[Block(c8) for _ in range(n8)])
        self.enter4 = nn.Sequential(UnfoldingPointwise(c8, 4 * c4), Unfold(2))
        self.stage4 = nn.Sequential(*[Block(c4) for _ in range(n4)])
        self.leave = nn.Sequential(UnfoldingConv(c4, 48, 3, padding=1), Unfold(4))
        self.finest_width = finest_width
        self.unfold4, self.unfold2 = Unfold(LATENT_STRIDE // 4), Unfold(LATENT_STRIDE // 2)
        self.finest = finest(c4, finest_width) if finest_width else None
        if finest_width:  # how much of the noise each channel takes; nothing comes of it yet
            self.noise4 = nn.Parameter(torch.zeros(1, c4, 1, 1))
            self.noise2 = nn.Parameter(normal((1, finest_width, 1, 1), NOISE))
        self.fine_channels = None
        if config.fine_channels:
            pixels = 3 * LATENT_STRIDE**2
            self.fine_channels = nn.Sequential(
                UnfoldingPointwise(config.fine_channels, pixels, side=LATENT_STRIDE, gain=0.0),
                Unfold(LATENT_STRIDE),
            )
        self.condition = nn.Linear(config.gain_anchors + config.layers + 1, c16 + c8 + c4)
        nn.init.zeros_(self.condition.weight)
        self.split = (c16, c8, c4)
        # latents that the stages at strides 8 and 4, or at 4 alone, can see around a latent
        self.reach8 = math.ceil(n8 / 2 + (n4 + 1) / 4)
        self.reach4 = math.ceil((n4 + 1) / 4)

    def forward(
        self,
        y_hat: Tensor,
        anchor_weights: Tensor,
        layers: Tensor,
        inside: Box | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Decode.

        Args:
            y_hat: float [B, local_channels, H, W].
            anchor_weights: float [B, gain_anchors], interpolation weights of the two anchors
                nearest to the quality.
            layers: int64 [B], detail layers that arrived.
            inside: the latents to show, of H x W; all if not given. The finer stages, which take
                most of the time, run only on these and what they see around them.
            noise: of `noise_at` for the H x W latents; none if not given. For the finest branch.

        Returns:
            x_hat float [B, 3, 16H, 16W] of the latents inside, about [0, 1], not clamped.
        """
        features = self.coarse(y_hat, anchor_weights, layers)
        return self.fine(features, anchor_weights, layers, inside, noise)

    def coarse(self, y_hat: Tensor, anchor_weights: Tensor, layers: Tensor) -> Tensor:
        """The part at stride 16.

        Arguments are those of `forward`; returns float [B, widths[2] + fine_channels, H, W].
        """
        coarse, fine = y_hat[:, : self.coarse_channels], y_hat[:, self.coarse_channels :]
        h: Tensor = self.stage16(self.enter16(coarse) + self._told(anchor_weights, layers)[0])
        return h if self.fine_channels is None else torch.cat([h, fine.to(h.dtype)], 1)

    def fine(
        self,
        features: Tensor,
        anchor_weights: Tensor,
        layers: Tensor,
        inside: Box | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """The part at strides 8 and 4, from what `coarse` gives; else as `forward`."""
        whole = Box(0, 0, *features.shape[2:])
        inside = whole if inside is None else inside
        near, close = inside.grown(self.reach8, whole), inside.grown(self.reach4, whole)
        _, b8, b4 = self._told(anchor_weights, layers)
        width = self.split[0]
        h = part_of(features[:, :width], near, 1)
        h = self.stage8(self.enter8(h) + b8)
        h = part_of(h, close.seen_from(near), 2)
        h = self.enter4(h) + b4
        at2 = None
        if noise is not None and self.finest is not None:
            near_by = part_of(noise, close, 1).to(h.dtype)
            at4, at2 = near_by[:, :PLACES4], near_by[:, PLACES4:]
            h = h + self.noise4 * self.unfold4(at4)
        h = self.stage4(h)
        x_hat: Tensor = self.leave(h)
        if self.finest is not None:  # which sees no further around a latent
            h = self.finest[:2](h)
            if at2 is not None:
                h = h + self.noise2 * self.unfold2(at2)
            x_hat = x_hat + self.finest[2:](h)
        x_hat = part_of(x_hat, inside.seen_from(close), LATENT_STRIDE) + 0.5
        if self.fine_channels is not None:
            x_hat = x_hat + self.fine_channels(part_of(features[:, width:], inside, 1))
        return x_hat

    def _told(self, anchor_weights: Tensor, layers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The biases at strides 16, 8 and 4."""
        arrived = nn.functional.one_hot(
            layers, self.condition.in_features - anchor_weights.shape[1]
        )
        told = torch.cat(
            [anchor_weights * (layers > 0).unsqueeze(1), arrived.to(anchor_weights.dtype)], 1
        )
        b16, b8, b4 = self.condition(told)[:, :, None, None].split(self.split, 1)
        return b16, b8, b4


def finest(c4: int, width: int) -> nn.Sequential:
    """The branch at stride 2, from features at stride 4; it adds nothing before it is trained."""
    leave = UnfoldingConv(width, 12, 3, padding=1, side=2)
    nn.init.zeros_(leave.weight)
    assert leave.bias is not None
    nn.init.zeros_(leave.bias)
    return nn.Sequential(
        UnfoldingPointwise(c4, 4 * width), Unfold(2), Block(width), leave, Unfold(2)
    )
