"""What a checkpoint is worth, in a minute: rates of symbols and real pixels of validation crops.

    python -m benchmarks.checkpoint_rates --data VALID FIRST [CHECKPOINT ...]

FIRST and the others are checkpoints, or released weights. Rates are those of rounded or chosen
symbols under normal tables, as training sees them; pixels are decoded and rounded to 8 bits. Prints
bpp and PSNR at each quality code, then of global tokens alone, and BD-rates against FIRST. Whole
files (`benchmarks.weights`) decide; this one is for runs under way.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sbtcodec.evaluation.curves import METRICS, Curve, Point, bd_rate
from sbtcodec.grid import LATENT_STRIDE, TOKEN_STRIDE
from sbtcodec.latents.estimate import floats
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.rdo.ms_ssim import ms_ssim
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.tokenizer.layers import channels_last, pixel_rows
from sbtcodec.training import checkpoint
from sbtcodec.training.config import PRESETS, TrainingConfig
from sbtcodec.training.data import batch, load_photographs
from sbtcodec.training.objective import forward_of

CODES = (0, 15, 40, 70, 110, 150, 190, 220, 255)
CROPS, AT_ONCE, SIDE = 32, 8, 256


def read(path: Path) -> tuple[CodecModel, TrainingConfig]:
    """The model of a file, and a recipe that chooses symbols as it was trained to."""
    config, state, told = checkpoint.weights_of(path)
    model = channels_last(CodecModel(config))
    model.load_state_dict(state, strict=False)
    low, high = told.get("bit_weights", (0.0, 0.0))
    return model, replace(PRESETS["base"], bit_weights=(low, high), noisy_rate=False)


@torch.no_grad()
def curve_of(path: Path, x: Tensor) -> tuple[Curve, tuple[float, float]]:
    """The means of the crops at each code; bpp and PSNR of global tokens alone."""
    model, recipe = read(path)
    t, forward = model.tokenizer, forward_of(model, recipe)
    points = []
    for code in (*CODES, None):
        rows = []
        for part in x.split(AT_ONCE):
            n = len(part)
            layers = torch.full((n,), 0 if code is None else t.config.layers)
            quality = torch.full((n,), float(code or 0))
            noise = torch.zeros(n, t.config.local_channels, *(2 * [SIDE // LATENT_STRIDE]))
            with floats(x.device, bf16=fast_bf16("cpu")):
                out = forward(part, quality, layers, noise)
            shown = (out.x_hat.clamp(0, 1) * 255).round() / 255
            error = (shown - part).square().mean((1, 2, 3)) * 255**2
            bpp = out.detail_bpp + out.token_bits / TOKEN_STRIDE**2
            rows.append(torch.stack([bpp, error, ms_ssim(part, shown)]).mean(1))
        bpp, error, similarity = torch.stack(rows).mean(0).tolist()
        points.append((code, bpp, 10 * np.log10(255**2 / error), similarity))
    curve = [Point(c, b, p, s, np.nan, np.nan, np.nan) for c, b, p, s in points if c is not None]
    return Curve(path.name, tuple(curve)), points[-1][1:3]


def main() -> None:
    """Print a line a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="validation photographs")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    a = parser.parse_args()
    images = load_photographs(a.data, SIDE)
    x = pixel_rows(batch(images, SIDE, CROPS, (9, 9, 9)).float() / 255)
    first = None
    for path in a.checkpoints:
        curve, alone = curve_of(path, x)
        first = first or curve
        shown = " ".join(f"{p.bpp:.4f}:{p.psnr:.2f}" for p in curve.points)
        print(f"{path}: {shown} | {alone[0]:.4f}:{alone[1]:.2f}")
        for metric in METRICS[:2]:
            print(f"  {metric.label} {bd_rate(first, curve, metric).percent:+.2f} %", flush=True)


if __name__ == "__main__":
    main()
