"""The parts of `gpu.sh`, which says in which order and for how long: what a GPU is borrowed for.

    python -m benchmarks.gpu check|missing|speed|rates|profile|train|evaluate --out FOLDER [OPTIONS]

Each part adds lines to FOLDER/results.jsonl as soon as it knows something, one JSON object each.
Imports are those of each part, since a part may lack what others need.
"""

import argparse
import atexit
import json
import shutil
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.gpu_machine import check, missing, record, speed

if TYPE_CHECKING:
    from sbtcodec.models.config import ModelConfig
    from sbtcodec.training.config import TrainingConfig


def warm_start_of(a: argparse.Namespace) -> Path | None:
    """What training starts from; a tiny model begins anew."""
    start: Path | None = None if a.tiny else a.warm_start
    return joined(start) if start is not None and start.is_dir() else start


@cache
def joined(folder: Path) -> Path:
    """A checkpoint of the averaged weights of a run's folder, for as long as this program runs."""
    from sbtcodec.training.split_weights import join

    scratch = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return join(folder, Path(scratch, "checkpoint.safetensors"))


def model_of(a: argparse.Namespace) -> "ModelConfig":
    """The sizes to train: those of the warm start, if there is one."""
    from sbtcodec.training import checkpoint
    from sbtcodec.training.config import MODELS

    start = warm_start_of(a)
    if start is None:
        return MODELS["tiny" if a.tiny else "base"]
    return checkpoint.weights_of(start).config


def recipe_of(a: argparse.Namespace, count: int) -> "TrainingConfig":
    """The preset with `count` large crops in a step, and as many pixels of small ones."""
    from dataclasses import replace

    from sbtcodec.training.config import PRESETS

    config = PRESETS["tiny" if a.tiny else a.preset]
    side, _ = config.large_crop
    small_side, _ = config.small_crop
    return replace(
        config,
        large_crop=(side, count),
        small_crop=(small_side, count * side**2 // small_side**2),
        learning_rate=config.learning_rate * a.rate,
        matrix_learning_rate=config.matrix_learning_rate * a.rate,
        seed=a.seed,
    )


def rates(a: argparse.Namespace) -> None:
    """Crops a second of training: several batches and precisions, captured or not, compiled.

    Products in float32 stay exact: in TF32, MS-SSIM's differences of squares are mostly error, and
    its gradient is thousands of times too large where a picture is smooth.
    """
    import torch

    from benchmarks.pack import read_packs
    from sbtcodec.training.device_setup import PRECISIONS, DeviceOptions, prepared
    from sbtcodec.training.device_step import CapturedStep

    images = read_packs(a.data)
    first, *others = (2,) if a.tiny else (64, 128, 256)
    cases = [(first, a.float32, "no")]
    if a.device == "cuda":
        cases += [(count, a.float32, "kernels") for count in (first, *others)]
    cases += [(first, kind, "no") for kind in PRECISIONS if kind != a.float32]
    for count, float32, compiled in cases[: a.cases]:
        config = recipe_of(a, count)
        options = DeviceOptions(device=a.device, float32=float32, compiled=compiled)
        start = time.perf_counter()
        step = prepared(config, model_of(a), images, warm_start_of(a), options)
        captured = CapturedStep(step, *config.large_crop)
        found = {"batch": count, "compiled": compiled, "captured": captured.graph is not None}
        found["float32"] = float32
        found["ready_s"] = round(time.perf_counter() - start, 1)
        for name, advance in (("step", captured), ("one_by_one", captured.one_by_one)):
            times = []
            for _ in range(8):
                start = time.perf_counter()
                advance()
                step.read()
                times.append(time.perf_counter() - start)
            found[f"{name}_s"] = round(min(times), 4)
        if a.device == "cuda":
            found["gigabytes"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
            torch.cuda.reset_peak_memory_stats()
        record(a.out, "rates", crops_per_s=round(count / found["step_s"], 1), **found)
        del captured, step


def profile(a: argparse.Namespace) -> None:
    """What steps spend their time on, kernel by kernel: FOLDER/profile.txt."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    from benchmarks.pack import read_packs
    from sbtcodec.training.device_setup import DeviceOptions, prepared

    config = recipe_of(a, 2 if a.tiny else a.batch)
    options = DeviceOptions(device=a.device, float32=a.float32, compiled=a.compile)
    step = prepared(config, model_of(a), read_packs(a.data), warm_start_of(a), options)
    for _ in range(3):
        step(*config.large_crop)
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if a.device == "cuda" else [])]
    with profiled(activities=kinds) as found:
        for _ in range(2):
            step(*config.large_crop)
        step.read()
    by = f"self_{a.device}_time_total"
    table = found.key_averages().table(sort_by=by, row_limit=70, max_name_column_width=90)
    (a.out / "profile.txt").write_text(table)
    record(a.out, "profile", batch=config.large_crop[1], compiled=a.compile)


def train(a: argparse.Namespace) -> None:
    """Train until the second that was given, and leave averaged weights and the log."""
    from benchmarks.pack import read_packs
    from sbtcodec.training.device_run import train_on_device
    from sbtcodec.training.device_setup import DeviceOptions

    images = read_packs(a.data)
    size = sum(image.nbytes for image in images) / 1e9
    record(a.out, "data", photographs=len(images), gigabytes=round(size, 3))
    paths = train_on_device(
        recipe_of(a, 2 if a.tiny else a.batch),
        model_of(a),
        images,
        out=a.out,
        seconds=a.until - time.time(),
        warm_start=warm_start_of(a),
        options=DeviceOptions(device=a.device, float32=a.float32, compiled=a.compile),
    )
    last = json.loads((a.out / "log.jsonl").read_text().splitlines()[-1])
    record(a.out, "train", files=[path.name for path in paths], **last)


def evaluate(a: argparse.Namespace) -> None:
    """Whole files of validation photographs, with the weights before and after."""
    from benchmarks.pack import read_packs
    from benchmarks.weights import SIDE, curve_of, middle_of
    from sbtcodec.codec.codec import Codec
    from sbtcodec.evaluation.curves import METRICS, bd_rate
    from sbtcodec.training.publish import publish
    from sbtcodec.training.split_weights import join

    squares = [middle_of(rgb, SIDE) for rgb in read_packs([a.valid])][: a.limit]
    with tempfile.TemporaryDirectory() as scratch:
        trained = join(a.out, Path(scratch, "joined.safetensors"))
        like = a.warm_start
        if a.tiny or like is None or like.is_dir() or like.name == "checkpoint.safetensors":
            like = None
        weights = publish(trained, Path(scratch, "weights"), like=like)
        curves = []
        for folder in (None, weights.parent):
            codec = Codec.load(a.device, precision="float32", weights=folder)
            curves.append(curve_of(codec, squares, a.effort))
            points = [[p.quality, p.bpp, p.psnr, p.ms_ssim] for p in curves[-1].points]
            which = "before" if folder is None else "after"
            record(a.out, "evaluate", which=which, points=points, squares=len(squares))
    rates = {m.label: round(bd_rate(*curves, m).percent, 2) for m in METRICS[:2]}
    record(a.out, "evaluate", bd_rate_percent=rates)


def main() -> None:
    """Do one part."""
    parts = {
        "check": check,
        "speed": speed,
        "rates": rates,
        "profile": profile,
        "train": train,
        "evaluate": evaluate,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*parts, "missing"])
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of results")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="packs to train on")
    parser.add_argument("--valid", type=Path, help="a pack to evaluate on")
    parser.add_argument("--until", type=float, help="train until then, in seconds since 1970")
    parser.add_argument("--warm-start", type=Path, help="weights, checkpoint or folder of a run")
    parser.add_argument("--preset", default="finish")
    parser.add_argument("--batch", type=int, default=64, help="large crops in a step")
    parser.add_argument("--rate", type=float, default=1.0, help="factor of the rates of learning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float32", default="heads", help="see DeviceOptions")
    parser.add_argument("--compile", help="see DeviceOptions; by default kernels on cuda")
    parser.add_argument("--cases", type=int, default=99, help="of rates, at most")
    parser.add_argument("--limit", type=int, default=12, help="photographs to evaluate on")
    parser.add_argument("--effort", type=int, default=4)
    a = parser.parse_args()
    if a.part == "missing":
        print(" ".join(missing()))
        return
    needed = {
        "rates": ("data",),
        "profile": ("data",),
        "train": ("data", "until"),
        "evaluate": ("valid",),
    }
    for option in needed.get(a.part, ()):
        if not getattr(a, option):
            parser.error(f"{a.part} needs --{option}")
    if a.compile is None:
        a.compile = "kernels" if a.device == "cuda" else "no"
    a.out.mkdir(parents=True, exist_ok=True)
    from sbtcodec.errors import SbtError

    try:
        parts[a.part](a)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
