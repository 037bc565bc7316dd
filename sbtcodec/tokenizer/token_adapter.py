"""The token adapter: global tokens, given what they predict. Only the encoder runs it.

The global encoder never sees what its tokens are understood as. This network compares the local
tokens with those that a choice predicts, and moves the choice: a learned step of what gradient
descent on the tokens of one picture does (iterative amortized inference, Marino et al., arXiv
1807.09356). Where nothing follows the global tokens, a second network takes the further steps: it
need not leave anything to details.
"""

import torch
from torch import Tensor, nn

from sbtcodec.tokenizer.attention import Attention
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.folding import Fold, FoldedPointwise
from sbtcodec.tokenizer.layers import Block, Pointwise


class TokenAdapter(nn.Module):
    """(y, y_hat, z and its quantised values) -> a better z."""

    def __init__(self, config: TokenizerConfig, attention: int) -> None:
        """Start as the identity, with `attention` layers of it."""
        super().__init__()
        channels, width, d = config.local_channels, config.adapter_width, config.global_width
        dims = len(config.levels)
        self.from_tokens = Pointwise(channels, width)
        self.from_estimate = Pointwise(channels, width)
        self.pool = nn.Sequential(Block(width), Fold(2), FoldedPointwise(4 * width, d))
        self.from_choice = Pointwise(2 * dims, d)
        self.attention = Attention(d, config.heads, attention)
        self.head = Pointwise(d, dims, gain=0.0)

    def forward(self, y: Tensor, y_hat: Tensor, z: Tensor, values: Tensor) -> Tensor:
        """Adapt global tokens to what they predict.

        Args:
            y: of the local encoder, float32 [B, C, 2H, 2W].
            y_hat: predicted from the quantised global tokens, of the same shape.
            z: of the global encoder, or of the step before, float32 [B, dims, H, W].
            values: the same quantised, in (-1, 1).

        Returns:
            z to quantise instead, float32 [B, dims, H, W].
        """
        return self.attend(self.compare(y, y_hat), z, values)

    def compare(self, y: Tensor, y_hat: Tensor) -> Tensor:
        """The part among local tokens: arguments of `forward` to float [B, global_width, H, W]."""
        h: Tensor = self.pool(self.from_tokens(y) + self.from_estimate(y_hat))
        return h

    def attend(self, compared: Tensor, z: Tensor, values: Tensor) -> Tensor:
        """The part among global tokens, from what `compare` gives; else as `forward`."""
        h = compared + self.from_choice(torch.cat([z, values], 1))
        moved: Tensor = self.head(self.attention(h)).float()
        return z + moved
