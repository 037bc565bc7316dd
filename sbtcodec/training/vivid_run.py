"""Training of a look: another decoder for the files of a released model, resumable.

Everything before the decoder is frozen, so crops are coded as files would have them: mostly at low
qualities, some by global tokens alone. The decoder starts from the faithful one.
"""

from itertools import repeat
from pathlib import Path

import torch

from sbtcodec.models.release import Release
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.training.data import Prefetcher, load_photographs
from sbtcodec.training.loop import learn
from sbtcodec.training.run import CHECKPOINT
from sbtcodec.training.trunk_losses import VggFeatures
from sbtcodec.training.vivid_state import VividTraining, begun
from sbtcodec.training.vivid_step import Crops, update


def train_vivid(
    recipe: VividTraining,
    release: Release,
    *,
    data: Path,
    trunk: Path,
    out: Path,
    resume: bool = False,
    warm_start: Path | None = None,
    steps: int | None = None,
    device: str = "cpu",
) -> Path:
    """Train, and leave `checkpoint.safetensors` and `log.jsonl` in `out`.

    Args:
        recipe: how.
        release: the model whose files are to be shown.
        data: folder of photographs.
        trunk: weights of a VGG-16 trunk.
        out: folder of the run.
        resume: go on from the checkpoint in `out`.
        warm_start: weights of a look to start from.
        steps: stop after this many steps in all, whatever the time.
        device: where.

    Returns:
        Path of the checkpoint.

    Raises:
        SbtError: no photographs, no trunk, a checkpoint does not fit, or a gradient is not finite.
    """
    where = torch.device(device)
    features = VggFeatures(trunk, where)
    run = begun(recipe, release, features.channels, where, warm_start=warm_start)
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        run.restore(out / CHECKPOINT)
    crops = Crops(release, recipe, where)
    images = load_photographs(data, recipe.side)
    shape = repeat((recipe.side, recipe.batch))
    batches = Prefetcher(images, recipe.seed, 0).batches(run.step, shape)

    def step() -> dict[str, float]:
        x = pixel_rows(next(batches).to(where).float() / 255)
        return update(run, x, crops.arrived(x, run.step), features)

    return learn(run, step, out, steps=steps)
