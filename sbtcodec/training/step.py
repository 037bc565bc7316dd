"""The forward pass of training: the whole codec, made differentiable.

It walks the steps of the codec in the codec's order. Rates see residuals with uniform noise, the
networks see rounded ones with a straight-through gradient (Minnen & Singh, arXiv 2007.08739).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sbtcodec.entropy.detail import MAX_SYMBOL, gain_offset
from sbtcodec.entropy.prior import centred
from sbtcodec.entropy.quality import HAT_ONE
from sbtcodec.model import CodecModel
from sbtcodec.tokenizer.bootstrap import checkerboard
from sbtcodec.tokenizer.layers import round_ste
from sbtcodec.training.losses import gaussian_bits, ms_ssim, symbol_scale, token_bits


class Pass(NamedTuple):
    """What one forward pass gives, per image of the batch; all float32.

    Attributes:
        x_hat: [B, 3, H, W].
        mse: [B], squared error of the pixels, 8-bit units.
        dissimilarity: [B], 1 - MS-SSIM; 0 if not wanted.
        token_bits: [B], bits per global token under the prior.
        detail_bpp: [B], bits per pixel of the detail layers that count as sent.
        bootstrap: [B], squared error of the prediction of y, relative to the variance of y.
    """

    x_hat: Tensor
    mse: Tensor
    dissimilarity: Tensor
    token_bits: Tensor
    detail_bpp: Tensor
    bootstrap: Tensor


class TrainingPass(nn.Module):
    """The codec as one differentiable module, so that it can be compiled."""

    def __init__(self, model: CodecModel, *, structure: bool = False) -> None:
        """Wrap `model`; nothing is copied. `structure`: compute the dissimilarity too."""
        super().__init__()
        self.model = model
        self.structure = structure

    def forward(self, x: Tensor, quality: Tensor, layers: Tensor, noise: Tensor) -> Pass:
        """Encode and decode a batch.

        Args:
            x: float32 [B, 3, 16H, 16W] in [0, 1].
            quality: float32 [B], quality codes in [0, 255].
            layers: int64 [B], detail layers that are sent.
            noise: float32 [B, local_channels, H, W], uniform in (-0.5, 0.5).
        """
        t, scales = self.model.tokenizer, self.model.scales
        y = t.local_encoder(x).float()
        z = t.fsq(t.global_encoder(y))
        integers = centred(z.levels, t.config.levels).float()
        integers = z.values * 64 + (integers - z.values * 64).detach()
        bits_z = token_bits(self.model.prior(integers), z.levels, z.position)

        features, y_hat = t.predictor(z.values)
        y_hat = y_hat.float()
        hats = t.hats(quality)
        log_gain = t.gains(hats)
        gain, offset = log_gain.exp(), gain_offset(log_gain)
        scale_features = scales.features(integers)
        scale_hats = torch.floor(hats * HAT_ONE + 0.5)[:, :, None, None]

        seen = torch.zeros_like(y)
        bits = torch.zeros_like(y[:, 0])
        at = layers.view(-1, 1, 1, 1)
        for step in range(t.steps):
            group, parity = divmod(step, 2)
            channels = t.config.group_slice(group)
            cells = checkerboard(y.shape[2], y.shape[3], parity, y.device)
            sent = (at > group).to(y.dtype)

            # correct everything not yet sent; a file that ends at this layer still gets the first
            delta = t.refiners[step](features, y_hat).float()
            reach = (at >= group).to(y.dtype) if parity == 0 else sent
            head, mine, rest = torch.split(
                y_hat,
                [channels.start, channels.stop - channels.start, y.shape[1] - channels.stop],
                1,
            )
            width = mine.shape[1]
            open_cells = cells if parity == 1 else torch.ones_like(cells)
            mine = mine + delta[:, :width] * (open_cells * reach)
            rest = rest + delta[:, width:] * reach

            total = scales.scales(step, scale_features, scale_hats, seen).float()
            scale = symbol_scale(total, offset[:, channels])
            residual = (y[:, channels] - mine) * gain[:, channels]
            cost = gaussian_bits(residual + noise[:, channels], scale)
            bits = bits + (cost * (cells * sent)).sum(1)
            q = round_ste(residual).clamp(-MAX_SYMBOL, MAX_SYMBOL)
            mine = torch.where(cells & (at > group), mine + q / gain[:, channels], mine)
            y_hat = torch.cat([head, mine, rest], 1)
            magnitude = scales.magnitude(q.detach())
            before, _, after = torch.split(
                seen, [channels.start, width, y.shape[1] - channels.stop], 1
            )
            known = torch.where(cells, magnitude, seen[:, channels])
            seen = torch.cat([before, known, after], 1)

        target = y.detach()
        spread = target.var((2, 3), keepdim=True).mean(1, keepdim=True) + 1e-3
        bootstrap = ((y_hat - target).square() / spread).mean((1, 2, 3))
        x_hat = t.decoder(y_hat, hats, layers).float()
        dissimilarity = torch.zeros_like(bootstrap)
        if self.structure:
            with torch.autocast(x.device.type, enabled=False):  # differences of large squares
                dissimilarity = 1 - ms_ssim(x, x_hat)
        return Pass(
            x_hat,
            (x_hat - x).square().mean((1, 2, 3)) * 255.0**2,
            dissimilarity,
            bits_z.mean((1, 2)),
            bits.sum((1, 2)) / (x.shape[2] * x.shape[3]),
            bootstrap,
        )
