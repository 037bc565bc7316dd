"""The local encoder: pixels to local tokens y, one per 16x16 pixels."""

import math

import torch
from torch import Tensor, nn

from sbtcodec.grid import LATENT_STRIDE, Box
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.folding import Fold, FoldedConv, FoldedPointwise
from sbtcodec.tokenizer.layers import Block, Pointwise, part_of


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
            Fold(4),
            FoldedConv(48, c4, 3, padding=1),
            *[Block(c4) for _ in range(n4)],
            Fold(2),
            FoldedPointwise(4 * c4, c8),
            *[Block(c8) for _ in range(n8)],
            Fold(2),
            FoldedPointwise(4 * c8, c16),
            *[Block(c16) for _ in range(n16)],
            Pointwise(c16, config.coarse_channels),
        )
        self.width = c16
        self.fine_channels = None
        if config.fine_channels:
            self.fine_channels = FineChannels(config)
        self.ends = (n4 + 2, n4 + n8 + 4, n4 + n8 + 6)  # of layers at strides 4 and 8, and into 16
        # in places of stride 8: what layers at stride 8 see, and what those at stride 4 do
        self.reach8, self.reach4 = n8, (n4 + 2) // 2
        # latents that the parts can see around a latent
        self.fine_reach = math.ceil((self.reach8 + self.reach4) / 2)
        self.coarse_reach = n16

    def forward(self, x: Tensor) -> Tensor:
        """float [B, 3, 16H, 16W] in [0, 1] -> y float [B, local_channels, H, W]."""
        return self.coarse(self.fine(x))

    def fine(self, x: Tensor, inside: Box | None = None) -> Tensor:
        """The part at strides 4 and 8, which takes most of the time.

        Args:
            x: float [B, 3, 16H, 16W] in [0, 1].
            inside: the latents wanted, of H x W; all if not given. What they see around them should
                be there, up to `fine_reach` latents.

        Returns:
            float [B, widths[2] + fine_channels, h, w] of the latents inside, to give to `coarse`.
        """
        whole = Box(0, 0, x.shape[2] // LATENT_STRIDE, x.shape[3] // LATENT_STRIDE)
        inside = whole if inside is None else inside
        end4, end8, end = self.ends
        near = inside.times(2).grown(self.reach8, whole.times(2))
        far = near.grown(self.reach4, whole.times(2))
        h = part_of(x, far, 8) - 0.5
        h = part_of(self.layers[:end4](h), near.seen_from(far), 2)
        h = part_of(self.layers[end4:end8](h), inside.times(2).seen_from(near), 1)
        features: Tensor = self.layers[end8:end](h)
        if self.fine_channels is None:
            return features
        pixels = part_of(x, inside, LATENT_STRIDE) - 0.5
        return torch.cat([features, self.fine_channels.of_pixels(pixels)], 1)

    def coarse(self, features: Tensor) -> Tensor:
        """The part at stride 16: what `fine` gives -> y float [B, local_channels, H, W]."""
        y: Tensor = self.layers[self.ends[-1] :](features[:, : self.width])
        if self.fine_channels is None:
            return y
        fine: Tensor = features[:, self.width :] + self.fine_channels.of_tokens(y)
        return torch.cat([y, fine], 1)


class FineChannels(nn.Module):
    """The local channels that say what is left of the pixels of a square: linear in these and y."""

    def __init__(self, config: TokenizerConfig) -> None:
        """Of `config.fine_channels` channels."""
        super().__init__()
        pixels = 3 * LATENT_STRIDE**2
        self.of_pixels = nn.Sequential(
            Fold(LATENT_STRIDE),
            FoldedPointwise(pixels, config.fine_channels, side=LATENT_STRIDE),
        )
        self.of_tokens = Pointwise(config.coarse_channels, config.fine_channels)
