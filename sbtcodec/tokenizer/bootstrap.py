"""The self-bootstrapped predictor: local tokens from global tokens, refined as layers arrive.

The paper predicts local tokens from global ones (SelfBootTok, arXiv 2606.05552, abstract). Ours
goes on: what was sent of the local tokens improves the prediction of what was not, layer by layer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbtcodec.tokenizer.attention import Attention
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.folding import Unfold, UnfoldingPointwise
from sbtcodec.tokenizer.layers import Block, Pointwise


class LocalPredictor(nn.Module):
    """z -> (features, first estimate of y); the bootstrap itself."""

    def __init__(self, config: TokenizerConfig) -> None:
        """Build the layers of `config`."""
        super().__init__()
        c16, d = config.widths[2], config.global_width
        self.embed = Pointwise(len(config.levels), d)
        self.attention = Attention(d, config.heads, config.predictor_attention)
        self.spread = nn.Sequential(
            UnfoldingPointwise(d, 4 * c16),
            Unfold(2),
            *[Block(c16) for _ in range(config.predictor_depth)],
        )
        self.head = Pointwise(c16, config.coarse_channels)
        self.fine_channels = config.fine_channels

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Predict from quantised values.

        Args:
            z: float [B, dims, H, W] in (-1, 1).

        Returns:
            features float [B, widths[2], 2H, 2W] and y_hat float [B, local_channels, 2H, 2W].
        """
        return self.spread_out(self.attend(z))

    def attend(self, z: Tensor) -> Tensor:
        """The part among global tokens: float [B, dims, H, W] -> [B, global_width, H, W]."""
        attended: Tensor = self.attention(self.embed(z))
        return attended

    def spread_out(self, attended: Tensor) -> tuple[Tensor, Tensor]:
        """The part among local tokens, from what `attend` gives; returns as `forward`."""
        features: Tensor = self.spread(attended)
        return features, padded(self.head(features), self.fine_channels)


class Refiner(nn.Module):
    """One refinement of the estimate of y, from the predictor's features and all that was sent.

    Runs before each half (checkerboard parity) of each detail layer and corrects the channels of
    that layer and of all later ones, so a file that stops here still profits from what it has.
    """

    def __init__(self, config: TokenizerConfig, group: int) -> None:
        """Refine the channels from the start of detail layer `group` on."""
        super().__init__()
        width = config.refine_width
        self.start = config.group_slice(group).start
        self.from_features = Pointwise(config.widths[2], width)
        self.coarse_channels, self.fine_channels = config.coarse_channels, config.fine_channels
        self.from_estimate = Pointwise(config.coarse_channels, width)
        self.block = Block(width)
        self.deeper = nn.Sequential(*[Block(width) for _ in range(config.refine_depth - 1)])
        for block in self.deeper:  # which change nothing before they are trained
            assert isinstance(block, Block)
            nn.init.zeros_(block.project.weight)
        self.head = Pointwise(width, config.coarse_channels - self.start, gain=0.1)

    def forward(self, features: Tensor, y_hat: Tensor) -> Tensor:
        """Correction for channels `start:` of y_hat.

        Args:
            features: float [B, widths[2], H, W], of the predictor.
            y_hat: float [B, local_channels, H, W], what was sent where it was, predicted elsewhere.
        """
        estimate = self.from_estimate(y_hat[:, : self.coarse_channels])
        h = F.gelu(self.from_features(features) + estimate)
        return padded(self.head(self.deeper(self.block(h))), self.fine_channels)


def padded(coarse: Tensor, fine_channels: int) -> Tensor:
    """float [B, C, H, W] and as many channels of zeros: fine channels are not predicted."""
    return F.pad(coarse, (0, 0, 0, 0, 0, fine_channels)) if fine_channels else coarse


def checkerboard(height: int, width: int, parity: int, device: torch.device) -> Tensor:
    """bool [1, 1, height, width]: the places of one colour; parity 0 holds the top left one."""
    rows = torch.arange(height, device=device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=device).view(1, 1, 1, -1)
    return (rows + columns) % 2 == parity
