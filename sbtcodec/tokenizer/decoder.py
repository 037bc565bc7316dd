"""The decoder: local tokens, sent or predicted, to pixels."""

import torch
from torch import Tensor, nn

from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.layers import Block, Pointwise


class Decoder(nn.Module):
    """y_hat -> x_hat: blocks at strides 16, 8 and 4, then depth-to-space.

    It is told the quality and how many detail layers arrived, as a bias at each stride: how much
    noise the tokens carry decides how much to smooth.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        """Build the layers of `config`."""
        super().__init__()
        c4, c8, c16 = config.widths
        n4, n8, n16 = config.decoder_depths
        self.enter16 = Pointwise(config.local_channels, c16)
        self.stage16 = nn.Sequential(*[Block(c16) for _ in range(n16)])
        self.enter8 = nn.Sequential(Pointwise(c16, 4 * c8), nn.PixelShuffle(2))
        self.stage8 = nn.Sequential(*[Block(c8) for _ in range(n8)])
        self.enter4 = nn.Sequential(Pointwise(c8, 4 * c4), nn.PixelShuffle(2))
        self.stage4 = nn.Sequential(*[Block(c4) for _ in range(n4)])
        self.leave = nn.Sequential(nn.Conv2d(c4, 48, 3, padding=1), nn.PixelShuffle(4))
        self.condition = nn.Linear(config.gain_anchors + config.layers + 1, c16 + c8 + c4)
        nn.init.zeros_(self.condition.weight)
        self.split = (c16, c8, c4)

    def forward(self, y_hat: Tensor, hats: Tensor, layers: Tensor) -> Tensor:
        """Decode.

        Args:
            y_hat: float [B, local_channels, H, W].
            hats: float [B, gain_anchors], the quality as weights of its two nearest anchors.
            layers: int64 [B], detail layers that arrived.

        Returns:
            x_hat float [B, 3, 16H, 16W], about [0, 1], not clamped.
        """
        arrived = nn.functional.one_hot(layers, self.condition.in_features - hats.shape[1])
        told = torch.cat([hats * (layers > 0).unsqueeze(1), arrived.to(hats.dtype)], 1)
        b16, b8, b4 = self.condition(told)[:, :, None, None].split(self.split, 1)
        h = self.stage16(self.enter16(y_hat) + b16)
        h = self.stage8(self.enter8(h) + b8)
        h = self.stage4(self.enter4(h) + b4)
        x_hat: Tensor = self.leave(h)
        return x_hat + 0.5
