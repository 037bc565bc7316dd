"""A second chance for local channels that carry nothing.

Early in training, noise and rate can silence a whole detail layer: its channels become constant,
cost nothing, and no gradient brings them back; the highest rates then lack the channels they need.
Here such channels are made anew from what the encoder's features hold beside the live channels.
"""

import math
import sys

import torch
from torch import Tensor
from tqdm import tqdm

from sbtcodec.entropy.integer_net import IntegerConv
from sbtcodec.entropy.units import SCALE_MIN, SCALE_STEP, SUM_ONE, SUMS_PER_INDEX
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.tokenizer.bootstrap import Refiner
from sbtcodec.tokenizer.layers import Pointwise, pixel_rows
from sbtcodec.training.state import Run

SILENT = 1.0  # steps at the highest quality; a channel that deviates less carries next to nothing
DEVIATION = 0.5  # of a revived channel
LOWEST_STEPS, HIGHEST_STEPS = 0.02, 1.0  # its deviation in steps, lowest and highest quality


def _pointwise(module: object) -> Pointwise:
    assert isinstance(module, Pointwise)
    return module


@torch.no_grad()
def revive(model: CodecModel, x: Tensor) -> int:
    """Make silent channels anew, in place, leaving what the decoder does almost unchanged.

    Their projections are the principal components of the encoder's last features after what the
    live channels explain is taken away. Nothing predicts them yet; they count as noise of known
    scale, sent at the highest qualities alone.

    Args:
        model: being trained.
        x: float32 [B, 3, H, W] in [0, 1], crops to measure on.

    Returns:
        How many channels were silent.
    """
    t = model.tokenizer
    local_encoder, global_encoder = t.encoders
    head = _pointwise(local_encoder.layers[-1])
    features = pixel_rows(x - 0.5)
    for layer in list(local_encoder.layers)[:-1]:
        features = layer(features)
    f = features.permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = f.mean(0)
    covariance = torch.cov(f.T)
    weight = head.weight.double()
    deviation = (weight @ covariance * weight).sum(1).clamp_min(0).sqrt()
    silent = deviation * t.log_gains[-1].double().exp() < SILENT
    count = int(silent.sum())
    if not count:
        return 0
    live = weight[~silent]
    # what is left of the features: f - B (live f), B from least squares
    b = covariance @ live.T @ torch.linalg.pinv(live @ covariance @ live.T)
    left = torch.eye(len(mean), dtype=torch.float64, device=x.device) - b @ live
    values, vectors = torch.linalg.eigh(left @ covariance @ left.T)
    fresh = vectors[:, -count:].T.flip(0) @ left
    fresh *= DEVIATION / values[-count:].flip(0).clamp_min(1e-12).sqrt()[:, None]
    head.weight[silent] = fresh.float()
    head.bias[silent] = -(fresh @ mean).float()

    enter = t.decoder.enter16
    typical = enter.weight[:, ~silent].square().mean().sqrt()
    enter.weight[:, silent] = torch.randn_like(enter.weight[:, silent]) * (0.3 * typical)
    _pointwise(global_encoder.pool[0]).weight[:, silent] = 0
    t.predictor.head.weight[silent] = 0
    t.predictor.head.bias[silent] = 0
    if t.adapter is not None:
        for reader in (t.adapter.from_tokens, t.adapter.from_estimate, t.adapter.from_steps):
            reader.weight[:, silent] = 0
        t.adapter.head.weight[silent] = 0
        t.adapter.head.bias[silent] = 0
    for refiner in t.refiners:
        assert isinstance(refiner, Refiner)
        refiner.from_estimate.weight[:, silent] = 0
        refiner.head.weight[silent[refiner.start :]] = 0
        refiner.head.bias[silent[refiner.start :]] = 0
    low, high = (math.log(steps / DEVIATION) for steps in (LOWEST_STEPS, HIGHEST_STEPS))
    rise = torch.linspace(0, 1, len(t.log_gains), device=x.device)
    t.log_gains[:, silent] = (low + (high - low) * rise)[:, None]
    index = math.log(DEVIATION / SCALE_MIN) / SCALE_STEP
    for step, conv in enumerate(model.scales.heads):
        assert isinstance(conv, IntegerConv)
        mine = silent[t.config.group_slice(step // 2)]
        conv.weight[mine] = 0
        conv.bias[mine] = index * SUMS_PER_INDEX / SUM_ONE
    return count


def revive_run(run: Run, x: Tensor) -> None:
    """`revive` the model of a run, averages included, and tell of how many channels.

    Args:
        run: has not begun, but for its warm start.
        x: crops, float32 [B, 3, H, W] in [0, 1].
    """
    revived = revive(run.model, x)
    tqdm.write(f"{revived} local channels carried nothing and were made anew", sys.stderr)
    run.average_anew()
