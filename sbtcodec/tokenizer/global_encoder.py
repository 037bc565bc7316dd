"""The global encoder: local tokens to global tokens, one per 32x32 pixels (64 per 256x256).

Every query is anchored to its position: it starts as the pooled feature of its own place, then sees
the other 63 of its 256-pixel window by attention, and its neighbours' windows by shifting. Queries
without a position need far more training data than this project has.
"""

from torch import Tensor, nn

from sbtcodec.tokenizer.attention import Attention
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.folding import Fold, FoldedPointwise
from sbtcodec.tokenizer.layers import Block, Pointwise


class GlobalEncoder(nn.Module):
    """y -> features of the global tokens, before quantisation."""

    def __init__(self, config: TokenizerConfig) -> None:
        """Build the layers of `config`."""
        super().__init__()
        c16, d = config.widths[2], config.global_width
        self.pool = nn.Sequential(
            Pointwise(config.local_channels, c16),
            Block(c16),
            Fold(2),
            FoldedPointwise(4 * c16, d),
        )
        self.attention = Attention(d, config.heads, config.encoder_attention)
        self.head = Pointwise(d, len(config.levels))

    def forward(self, y: Tensor) -> Tensor:
        """float [B, local_channels, 2H, 2W] -> float [B, dims of a global token, H, W]."""
        return self.attend(self.pool(y))

    def attend(self, pooled: Tensor) -> Tensor:
        """The part among global tokens, from what `pool` gives; returns as `forward`."""
        z: Tensor = self.head(self.attention(pooled))
        return z
