#!/bin/sh
# pytorch-msssim 1.0.0 with torch 2.13.0: within `torch.autocast` to bfloat16, as around a training step,
# MS-SSIM of two different pictures can be above 1: a bright smooth one and a stained copy of it have 1.08
# instead of 0.94, more than it has with itself. "1 - MS-SSIM" as a loss is below zero there, and draws
# pictures apart; nothing is said.
#
# Blurs are convolutions, which autocast runs in bfloat16; variances are then differences of large numbers
# with 8 bits. Autocast keeps losses that torch knows (`mse_loss`, `cosine_similarity`) in float32, and the
# inputs here are float32 from 0 to 255. Within autocast to float16, on the CPU, the score is not a number:
# squares of samples exceed its range. `torch.autocast("cpu", enabled=False)` around the call is the way out.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 pytorch-msssim==1.0.0
"$folder/venv/bin/python" - <<'END'
import numpy as np
import torch
import torch.nn.functional as F
from pytorch_msssim import ms_ssim

rng = np.random.default_rng(0)
rows, columns = np.mgrid[:256, :256] / 255
sky = np.stack([200 + 40 * columns + 10 * np.sin(9 * rows)] * 3)[None]


def stained(deviation):
    stains = F.avg_pool2d(torch.from_numpy(rng.normal(0, 5 * deviation, sky.shape)), 5, 1, 2)
    return (torch.from_numpy(sky) + stains).round().clamp(0, 255).float()


x = torch.from_numpy(sky).round().float()
pictures = {"itself": x, "a near copy": stained(1), "a far copy": stained(3)}


def scores(kind=None):
    with torch.autocast("cpu", kind or torch.bfloat16, enabled=kind is not None):
        return [float(ms_ssim(x, y, data_range=255)) for y in pictures.values()]


right, half, short = scores(), scores(torch.bfloat16), scores(torch.float16)
print("of a picture and", ", ".join(pictures))
for name, found in (("float32", right), ("bfloat16", half), ("float16", short)):
    print(f"  {name:8}", *(f"{score:.4f}" for score in found))
assert right[0] == 1 and 0.99 < right[1] < 0.996 and 0.93 < right[2] < 0.96
assert half[0] == 1 and half[1] > 1.02 and half[2] > 1.05
assert all(np.isnan(score) for score in short)
END
