"""The adapter: local tokens as they are best sent at one quality. Only the encoder runs it.

The local encoder's tokens are the same for all qualities. What is worth its bits is not: this
network moves tokens by a few steps of quantisation, towards what is predicted where detail does not
pay, after a conditional encoder (Choi et al., arXiv 1909.04802) that looks at the prediction too.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.tokenizer.config import ADAPTER_DEPTH, TokenizerConfig
from sbtcodec.tokenizer.layers import Block, Pointwise


class LocalAdapter(nn.Module):
    """(y, y_hat, quality) -> y as it is sent."""

    def __init__(self, config: TokenizerConfig) -> None:
        """Start as the identity."""
        super().__init__()
        channels, width = config.local_channels, config.adapter_width
        self.from_tokens = Pointwise(channels, width)
        self.from_estimate = Pointwise(channels, width)
        self.from_steps = Pointwise(channels, width)
        self.told = nn.Linear(config.gain_anchors, width)
        self.blocks = nn.Sequential(*[Block(width) for _ in range(ADAPTER_DEPTH)])
        self.head = Pointwise(width, channels, gain=0.0)

    def forward(self, y: Tensor, y_hat: Tensor, anchor_weights: Tensor, gain: Tensor) -> Tensor:
        """Adapt local tokens to a quality.

        Args:
            y: of the local encoder, float32 [B, C, H, W].
            y_hat: predicted from the global tokens, of the same shape.
            anchor_weights: float32 [B, gain_anchors], interpolation weights of the two anchors
                nearest to the quality.
            gain: steps per unit, float32 [B, C, 1, 1].

        Returns:
            Local tokens float32 [B, C, H, W].
        """
        steps = F.softsign(gain * (y - y_hat))
        h = self.from_tokens(y) + self.from_estimate(y_hat) + self.from_steps(steps)
        h = F.gelu(h + self.told(anchor_weights)[:, :, None, None])
        moved: Tensor = self.head(self.blocks(h)).float()
        return torch.addcdiv(y, moved, gain)
