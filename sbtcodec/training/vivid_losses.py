"""What the vivid look is trained by beside features: a discriminator, and traces of folds.

The mean of all pictures that fit a file has the least squared error and looks like none of them; a
picture that nobody can tell from a photograph is worth more to the eye (Blau and Michaeli, arXiv
1711.06077; the recipe is near to HiFiC's, Mentzer et al., arXiv 2006.09965).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sbtcodec.grid import LATENT_STRIDE
from sbtcodec.tokenizer.layers import pixel_rows

FOLDED = 4  # pixels of the side of the squares that the discriminator has as one place
SLOPE = 0.2  # of a leaky ReLU
REDUCED = 8  # pixels of the side of a square that has one colour
LEAST_ERROR = 1e-5  # 50 dB, which is added before a logarithm is taken
REGION = 8  # squares of the side of a region over which traces of them are looked for


class Discriminator(nn.Module):
    """Is this a photograph, or a decoded picture? One answer for each square of 8 x 8 pixels.

    It is shown the faithful picture as well, so that what it asks for is what is missing there.
    Pixels are folded first: convolutions of full pictures are what takes long. The places within a
    square are channels then, so that a pattern which repeats with the squares is seen at once. What
    the trunk finds there, which it need not learn, is shown as well (Sauer et al., 2111.01007).
    """

    def __init__(self, channels: Sequence[int], width: int = 64) -> None:
        """Draw the weights; each layer has a spectral norm of 1 (Miyato et al., 1802.05957).

        Args:
            channels: of the trunk's blocks.
            width: channels at stride 4.
        """
        super().__init__()
        folded = 2 * 3 * FOLDED**2
        self.near = nn.Sequential(
            nn.PixelUnshuffle(FOLDED),
            _convolution(folded, width),
            nn.LeakyReLU(SLOPE),
        )
        self.trunk4 = _convolution(channels[2], width, 1)
        self.nearer = nn.Sequential(
            _convolution(2 * width, width),
            nn.LeakyReLU(SLOPE),
            nn.PixelUnshuffle(2),
            _convolution(4 * width, 2 * width, 1),
            nn.LeakyReLU(SLOPE),
        )
        self.trunk8 = _convolution(channels[3], width, 1)
        self.far = nn.Sequential(
            _convolution(3 * width, 2 * width),
            nn.LeakyReLU(SLOPE),
            _convolution(2 * width, 2 * width),
            nn.LeakyReLU(SLOPE),
            _convolution(2 * width, 1),
        )

    def forward(self, x: Tensor, faithful: Tensor, features: list[Tensor]) -> Tensor:
        """Judge pictures.

        Args:
            x: float [B, 3, 8H, 8W] in [0, 1].
            faithful: the same of the faithful look.
            features: of x, as of `VggFeatures`.

        Returns:
            float [B, 1, H, W]; positive where it takes them for photographs.
        """
        at4, at8 = (
            F.normalize(h.float(), dim=1, eps=1e-3) * h.shape[1] ** 0.5 for h in features[2:]
        )
        both = pixel_rows(torch.cat([2 * x - 1, 2 * faithful - 1], 1))
        h = torch.cat([self.near(both), F.leaky_relu(self.trunk4(at4), SLOPE)], 1)
        h = torch.cat([self.nearer(h), F.leaky_relu(self.trunk8(at8), SLOPE)], 1)
        answers: Tensor = self.far(h)
        return answers


def _convolution(c_in: int, c_out: int, size: int = 3) -> nn.Module:
    made: nn.Module = spectral_norm(nn.Conv2d(c_in, c_out, size, padding=size // 2))
    return made


def judged_wrongly(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """The hinge loss of the discriminator's answers: to photographs, and to what was made.

    Args:
        real: answers to photographs, float [B, 1, H, W].
        fake: to what was made in their place.
        shares: how much each counts, float [B].
    """
    wrong = F.relu(1 - real.float()) + F.relu(1 + fake.float())
    return weighted(wrong.mean((1, 2, 3)), shares)


def weighted(each: Tensor, shares: Tensor) -> Tensor:
    """The mean of values [B] that count by shares [B] of 1, over all of the batch."""
    return (each * shares).mean()


def colours_apart(made: Tensor, x: Tensor) -> Tensor:
    """The squared error of pictures reduced to squares of REDUCED pixels: that of their colours.

    Args:
        made: float32 [B, 3, H, W].
        x: the photographs, the same shape.
    """
    return F.avg_pool2d(made - x, REDUCED).square().mean()


def logarithm_of_error(made: Tensor, x: Tensor) -> Tensor:
    """The mean of the logarithms of squared errors, one of each picture, so that each counts alike.

    Args:
        made: float32 [B, 3, H, W].
        x: the photographs, the same shape.
    """
    return (made - x).square().mean((1, 2, 3)).add(LEAST_ERROR).log().mean()


def fold_traces(made: Tensor, x: Tensor) -> Tensor:
    """How strong a pattern is in the error that repeats from latent to latent.

    Where a place is in the square of its latent is all that a decoder can tell about a place where
    nothing else differs, so what it draws there are dots in a grid of 16 pixels. The error of each
    place in a square is averaged over REGION x REGION squares, and over all: what is drawn at
    random falls to little, and dots remain, however faint they are.

    Args:
        made: float32 [B, 3, H, W].
        x: the photographs, the same shape.

    Returns:
        The mean squared trace, about 1e-4 of good pictures; a grid that is seen has 1e-3.
    """
    places = F.pixel_unshuffle(made - x, LATENT_STRIDE)
    region = min(REGION, *places.shape[2:])
    near = F.avg_pool2d(places, region, max(1, region // 2))
    traces = []
    for mean in (near, places.mean((2, 3), keepdim=True)):
        mean = mean.view(len(mean), 3, LATENT_STRIDE**2, *mean.shape[2:])
        traces.append((mean - mean.mean(2, keepdim=True)).square().mean())
    return torch.stack(traces).sum()
