"""Training of the vivid look: another decoder for the files of a released model, resumable.

Everything before the decoder is frozen, so crops are coded as files would have them: mostly at low
qualities, some by global tokens alone. The decoder starts from the faithful one.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sbtcodec.models.release import Release
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.training.data import Prefetcher, load_photographs
from sbtcodec.training.processes import clock
from sbtcodec.training.run import CHECKPOINT, LOG, SECONDS_PER_CHECKPOINT, SECONDS_PER_LOG_LINE
from sbtcodec.training.vivid_losses import VggFeatures
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
        steps: stop after this many steps in all, whatever the time.
        device: where.

    Returns:
        Path of the checkpoint.

    Raises:
        SbtError: no photographs, no trunk, a checkpoint does not fit, or a gradient is not finite.
    """
    where = torch.device(device)
    run, features = begun(recipe, release, where), VggFeatures(trunk, where)
    out.mkdir(parents=True, exist_ok=True)
    path = out / CHECKPOINT
    if resume:
        run.restore(path)
    crops = Crops(release, recipe, where)
    images = load_photographs(data, recipe.side)
    shape = iter(lambda: (recipe.side, recipe.batch), None)
    bar = tqdm(total=100, unit="%", disable=None, desc="training")
    logged = saved = time.monotonic()
    sums: dict[str, list[float]] = {}
    for raw in Prefetcher(images, recipe.seed, 0).batches(run.step, shape):
        if run.progress >= 1 or (steps is not None and run.step >= steps):
            break
        start = clock(where)
        x = pixel_rows(raw.to(where).float() / 255)
        for key, value in update(run, x, crops.shown(x, run.step), features).items():
            sums.setdefault(key, []).append(value)
        run.step += 1
        now = time.monotonic()
        run.seconds += clock(where) - start
        if now - logged > SECONDS_PER_LOG_LINE:
            line: dict[str, Any] = {"step": run.step, "minutes": round(run.seconds / 60, 2)}
            line |= {key: round(sum(v) / len(v), 4) for key, v in sums.items()}
            with (out / LOG).open("a") as log:
                log.write(json.dumps(line) + "\n")
            bar.update(int(100 * run.progress) - bar.n)
            logged, sums = now, {}
        if now - saved > SECONDS_PER_CHECKPOINT:
            run.save(path)
            saved = now
    run.save(path)
    bar.close()
    return path
