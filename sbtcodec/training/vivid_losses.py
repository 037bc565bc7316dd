"""What the vivid look is trained by: features of a VGG trunk, a discriminator, and traces of folds.

The mean of all pictures that fit a file has the least squared error and looks like none of them; a
picture that nobody can tell from a photograph is worth more to the eye (Blau and Michaeli, arXiv
1711.06077; the recipe is near to HiFiC's, Mentzer et al., arXiv 2006.09965).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sbtcodec.models.vgg_trunk import MEAN_BGR, read_trunk
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import pixel_rows

FOLDED = 4  # pixels of the side of the squares that both networks have as one place
SLOPE = 0.2  # of a leaky ReLU
REGION = 8  # squares of the side of a region over which traces of them are looked for


class VggFeatures:
    """Features of a trunk, with gradients of the pixels."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Read a trunk; it runs in bfloat16 where that is fast.

        Raises:
            SbtError: the file is missing or holds none.
        """
        self.dtype = torch.bfloat16 if fast_bf16(device.type) else torch.float32
        self.blocks = [
            [(weight.to(self.dtype), bias.to(self.dtype)) for weight, bias in block]
            for block in read_trunk(path, device)
        ]
        self.mean = torch.tensor(MEAN_BGR, device=device).view(1, 3, 1, 1)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Features after each block, of length 1 at each place.

        Args:
            x: float32 [B, 3, H, W] in [0, 1].

        Returns:
            float32 [B, C, H / 2^b, W / 2^b] for each block b.
        """
        h = pixel_rows((x.flip(1) * 255 - self.mean).to(self.dtype))
        found = []
        for index, block in enumerate(self.blocks):
            h = h if index == 0 else F.max_pool2d(h, 2)
            for weight, bias in block:
                h = F.conv2d(h, weight, bias, padding=1).relu()
            found.append(F.normalize(h.float(), dim=1, eps=1e-4))
        return found


def feature_distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """The distance of `VggDistance`, of features of a batch."""
    parts = [(a - b).square().sum(1).mean() for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean()


class Discriminator(nn.Module):
    """Is this a photograph, or a decoded picture? One answer for each square of 8 x 8 pixels.

    It is shown the faithful picture as well, so that what it asks for is what is missing there.
    Pixels are folded first: convolutions of full pictures are what takes long. The places within a
    square are channels then, so that a pattern which repeats with the squares is seen at once.
    """

    def __init__(self, width: int = 96) -> None:
        """Draw the weights; each layer has a spectral norm of 1 (Miyato et al., 1802.05957)."""
        super().__init__()
        folded = 2 * 3 * FOLDED**2
        self.near = nn.Sequential(
            nn.PixelUnshuffle(FOLDED),
            _convolution(folded, width),
            nn.LeakyReLU(SLOPE),
            _convolution(width, width),
            nn.LeakyReLU(SLOPE),
        )
        self.far = nn.Sequential(
            nn.PixelUnshuffle(2),
            _convolution(4 * width, 2 * width, 1),
            nn.LeakyReLU(SLOPE),
            _convolution(2 * width, 2 * width),
            nn.LeakyReLU(SLOPE),
            _convolution(2 * width, 2 * width),
            nn.LeakyReLU(SLOPE),
            _convolution(2 * width, 1),
        )

    def forward(self, x: Tensor, faithful: Tensor) -> Tensor:
        """Judge pictures.

        Args:
            x: float [B, 3, 8H, 8W] in [0, 1].
            faithful: the same of the faithful look.

        Returns:
            float [B, 1, H, W]; positive where it takes them for photographs.
        """
        both = pixel_rows(torch.cat([2 * x - 1, 2 * faithful - 1], 1))
        answers: Tensor = self.far(self.near(both))
        return answers


def _convolution(c_in: int, c_out: int, size: int = 3) -> nn.Module:
    made: nn.Module = spectral_norm(nn.Conv2d(c_in, c_out, size, padding=size // 2))
    return made


def judged_wrongly(discriminator: nn.Module, x: Tensor, made: Tensor, faithful: Tensor) -> Tensor:
    """The hinge loss of the discriminator: of photographs x, and of what the decoder made."""
    real, fake = (discriminator(shown, faithful).float() for shown in (x, made))
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def fold_traces(made: Tensor, x: Tensor) -> Tensor:
    """How strong a pattern is in the error that repeats from square to square of FOLDED pixels.

    The error of each place in a square is averaged over REGION x REGION squares: what is drawn at
    random falls to little, and dots in flat places remain, however faint they are.

    Args:
        made: float32 [B, 3, H, W], of sides of at least FOLDED * REGION pixels.
        x: the photographs, the same shape.
    """
    places = F.pixel_unshuffle(made - x, FOLDED)
    mean = F.avg_pool2d(places, REGION, REGION // 2)
    mean = mean.view(len(mean), -1, FOLDED**2, *mean.shape[2:])
    traces: Tensor = (mean - mean.mean(2, keepdim=True)).abs().mean()
    return traces
