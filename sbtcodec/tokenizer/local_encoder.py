"""The local encoder: pixels to local tokens y, one per 16x16 pixels."""

from torch import Tensor, nn

from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.layers import Block, Pointwise


class LocalEncoder(nn.Module):
    """x -> y: space-to-depth to stride 4, then blocks at strides 4, 8 and 16.

    Starting at stride 4 is what makes it cheap: full-resolution convolutions, not parameters, are
    the cost of an image network.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        """Build the layers of `config`."""
        super().__init__()
        c4, c8, c16 = config.widths
        n4, n8, n16 = config.encoder_depths
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, c4, 3, padding=1),
            *[Block(c4) for _ in range(n4)],
            nn.PixelUnshuffle(2),
            Pointwise(4 * c4, c8),
            *[Block(c8) for _ in range(n8)],
            nn.PixelUnshuffle(2),
            Pointwise(4 * c8, c16),
            *[Block(c16) for _ in range(n16)],
            Pointwise(c16, config.local_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """float [B, 3, 16H, 16W] in [0, 1] -> y float [B, local_channels, H, W]."""
        y: Tensor = self.layers(x - 0.5)
        return y
