"""1 - MS-SSIM as a differentiable distortion: for training, and for the searches.

Multi-scale SSIM (Wang, Simoncelli, Bovik 2003) of every image of a batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

MS_SSIM_WEIGHTS = (
    0.2856,
    0.3001,
    0.2363,
    0.1333,
)  # of scales 2 to 5 (Wang, Simoncelli, Bovik 2003)
MS_SSIM_C1, MS_SSIM_C2 = 0.01**2, 0.03**2
WINDOW = 11
SMALLEST_SIDE = 2 * WINDOW
# Squared error of 8-bit values that one unit of 1 - MS-SSIM stands for; measured along the rate
# curve, nearly the same at all rates.
MS_SSIM_UNIT = 1500.0
WINDOW_SIGMA = 1.5


def mixed(squared_error: Tensor, ms_ssim_loss: Tensor, share: float | Tensor) -> Tensor:
    """A distortion of both kinds, in squared 8-bit units: `share` of it is 1 - MS-SSIM."""
    return (1 - share) * squared_error + share * MS_SSIM_UNIT * ms_ssim_loss


def distortion(x: Tensor, x_hat: Tensor, share: float) -> Tensor:
    """Distortion of both kinds, summed over the pixels of a picture: squared 8-bit units.

    Args:
        x: float32 [1, 3, H, W] in [0, 1]; with a side below SMALLEST_SIDE, only errors count.
        x_hat: the same.
        share: of 1 - MS-SSIM, as in `mixed`.
    """
    height, width = x.shape[2:]
    squares = (x_hat - x).square().sum() * (255**2 / 3)
    if min(height, width) < SMALLEST_SIDE:
        return squares
    ms_ssim_loss = (1 - ms_ssim(x, x_hat)).sum() * (height * width)
    return mixed(squares, ms_ssim_loss, share)


def _blur(size: int, device: torch.device) -> Tensor:
    """The Gaussian window of SSIM as a banded matrix [size - 10, size]: rows of valid positions."""
    places = torch.arange(size, dtype=torch.float32, device=device)
    at = places - places[: size - WINDOW + 1, None]
    weights = torch.exp(-((at - WINDOW // 2) ** 2) / (2 * WINDOW_SIGMA**2))
    weights = weights * ((at >= 0) & (at < WINDOW))
    return weights / weights.sum(1, keepdim=True)


def ms_ssim(x: Tensor, x_hat: Tensor) -> Tensor:
    """Multi-scale structural similarity from half resolution on: float32 [B], 1 at best.

    The finest of the five scales has a twenty-second of the weight and three quarters of the work,
    so it is left out. Scales too small for the window are left out too. Windows are applied as two
    matrix products, four times as fast to train as convolutions of one channel.

    Args:
        x: float32 [B, 3, H, W] in [0, 1], sides of at least SMALLEST_SIDE.
        x_hat: the same, about [0, 1].
    """
    product = torch.ones_like(x[:, :, 0, 0])
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        x, x_hat = F.avg_pool2d(x, 2), F.avg_pool2d(x_hat, 2)
        rows, columns = _blur(x.shape[2], x.device), _blur(x.shape[3], x.device).T
        moments = torch.stack([x, x_hat, x * x, x_hat * x_hat, x * x_hat])
        mean, mean_hat, square, square_hat, both = rows @ moments @ columns
        contrast = 2 * (both - mean * mean_hat) + MS_SSIM_C2
        contrast = contrast / (square - mean**2 + square_hat - mean_hat**2 + MS_SSIM_C2)
        last = scale == len(MS_SSIM_WEIGHTS) - 1 or min(x.shape[2:]) < 2 * WINDOW
        if last:
            luminance = 2 * mean * mean_hat + MS_SSIM_C1
            contrast = contrast * luminance / (mean**2 + mean_hat**2 + MS_SSIM_C1)
        product = product * contrast.mean((2, 3)).clamp_min(1e-3) ** weight
        if last:
            break
    return product.mean(1)
