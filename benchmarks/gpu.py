"""The parts of `gpu.sh`, which says in which order and for how long: what a GPU is borrowed for.

    python -m benchmarks.gpu check|missing|speed|rates|train|evaluate --out FOLDER [OPTIONS]

Each part adds lines to FOLDER/results.jsonl as soon as it knows something, one JSON object each.
Imports are those of each part, since `check` also says what is missing.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sbtcodec.models.config import ModelConfig
    from sbtcodec.training.config import TrainingConfig

# What is imported, and what it is called where packages are.
NEEDED = {
    "numpy": "numpy",
    "PIL": "pillow",
    "safetensors": "safetensors",
    "constriction": "constriction",
    "typer": "typer",
    "rich": "rich",
    "tqdm": "tqdm",
    "jinja2": "jinja2",
    "pytorch_msssim": "pytorch-msssim",
    "bjontegaard": "bjontegaard",
    "pytest": "pytest",
    "skimage": "scikit-image",
}
RESULTS = "results.jsonl"
SIZES, TINY_SIZES = ((512, 768), (4096, 4096)), ((96, 64), (128, 128))
QUALITY = 50


def record(out: Path, part: str, **found: object) -> None:
    """Print what was found, and add it to the results."""
    line = json.dumps({"part": part, **found})
    print(line, flush=True)
    with (out / RESULTS).open("a") as results:
        results.write(line + "\n")


def missing() -> list[str]:
    """Packages that are not installed, by the names that pip knows them by."""
    return [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]


def check(a: argparse.Namespace) -> None:
    """Say what machine this is, and what it lacks.

    Raises:
        SystemExit: something that is needed is not there.
    """
    found: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    found["missing"] = missing()
    found["versions"] = {
        name: metadata.version(name)
        for module, name in NEEDED.items()
        if importlib.util.find_spec(module) is not None
    }
    usable = importlib.util.find_spec("torch") is not None
    if usable:
        import torch

        found |= {"torch": torch.__version__, "cuda": torch.version.cuda}
        usable = a.device == "cpu" or torch.cuda.is_available()
        if torch.cuda.is_available():
            card = torch.cuda.get_device_properties(0)
            found |= {"card": card.name, "gigabytes": round(card.total_memory / 1e9, 1)}
            asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            found["driver"] = subprocess.run(
                asked, capture_output=True, text=True, check=False
            ).stdout.strip()
    record(a.out, "check", **found)
    if not usable:
        sys.exit(f"error: torch cannot use the device {a.device}; expected one that it can")


def speed(a: argparse.Namespace) -> None:
    """Megapixels a second of the networks of the encoder, and of whole files."""
    import numpy as np
    import torch
    from PIL import Image

    from benchmarks.speed import speeds
    from sbtcodec.codec.codec import Codec
    from sbtcodec.image.demo_picture import demo_picture

    codecs = {bf16: Codec.load(a.device, bf16=bf16) for bf16 in (False, True)}
    for height, width in TINY_SIZES if a.tiny else SIZES:
        rgb = np.asarray(Image.fromarray(demo_picture()).resize((width, height)))
        repeat = 3 if height * width < 1e6 else 1
        for bf16, codec in codecs.items():
            times = []
            for _ in range(repeat + 1):
                start = time.perf_counter()
                codec.analyse(rgb)
                if a.device == "cuda":
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
            encode, decode = speeds(codec, [rgb], str(QUALITY), repeat)
            rates = {
                "analyse": height * width / 1e6 / min(times),
                "compress": encode,
                "decode": decode,
            }
            record(
                a.out,
                "speed",
                device=a.device,
                bf16=bf16,
                width=width,
                height=height,
                **{f"{what}_mp_per_s": round(rate, 2) for what, rate in rates.items()},
            )


def warm_start_of(a: argparse.Namespace) -> Path | None:
    """What training starts from; a tiny model begins anew."""
    start: Path | None = None if a.tiny else a.warm_start
    return start


def model_of(a: argparse.Namespace) -> "ModelConfig":
    """The sizes to train: those of the warm start, if there is one."""
    from sbtcodec.errors import WeightsError
    from sbtcodec.models.config import ModelConfig
    from sbtcodec.models.weights_file import read_state
    from sbtcodec.training import checkpoint
    from sbtcodec.training.config import MODELS

    if warm_start_of(a) is None:
        return MODELS["tiny" if a.tiny else "base"]
    try:
        return read_state(a.warm_start)[0]
    except WeightsError:
        return ModelConfig.from_json(checkpoint.load(a.warm_start)[1]["model"])


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
    """Crops a second of training: one by one, captured and compiled, of several batches."""
    import torch

    from benchmarks.pack import read_packs
    from sbtcodec.training.device_setup import DeviceOptions, prepared
    from sbtcodec.training.device_step import CapturedStep

    images = read_packs(a.data)
    batches = (2,) if a.tiny else (64, 128, 256)
    for compiled, count in [(False, count) for count in batches] + [(True, batches[0])]:
        if compiled and a.device == "cpu":
            continue
        config = recipe_of(a, count)
        options = DeviceOptions(device=a.device, float32=a.float32, compiled=compiled)
        start = time.perf_counter()
        step = prepared(config, model_of(a), images, warm_start_of(a), options)
        captured = CapturedStep(step, *config.large_crop)
        found = {"batch": count, "compiled": compiled, "captured": captured.graph is not None}
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
    import tempfile

    from benchmarks.pack import read_packs
    from benchmarks.weights import SIDE, curve_of, middle_of
    from sbtcodec.codec.codec import Codec
    from sbtcodec.evaluation.curves import METRICS, bd_rate
    from sbtcodec.training.parts import join
    from sbtcodec.training.publish import publish

    squares = [middle_of(rgb, SIDE) for rgb in read_packs([a.valid])][: a.limit]
    with tempfile.TemporaryDirectory() as scratch:
        joined = join(a.out, Path(scratch, "joined.safetensors"))
        like = a.warm_start
        if a.tiny or like is None or like.name == "checkpoint.safetensors":
            like = None
        weights = publish(joined, Path(scratch, "weights"), like=like)
        curves = []
        for folder in (None, weights.parent):
            codec = Codec.load(a.device, weights=folder)
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
    parser.add_argument("--warm-start", type=Path, help="weights or checkpoint to start from")
    parser.add_argument("--preset", default="finish")
    parser.add_argument("--batch", type=int, default=64, help="large crops in a step")
    parser.add_argument("--rate", type=float, default=1.0, help="factor of the rates of learning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--float32", default="heads", help="see DeviceOptions")
    parser.add_argument("--compile", action="store_true", help="compile the networks first")
    parser.add_argument("--limit", type=int, default=12, help="photographs to evaluate on")
    parser.add_argument("--effort", type=int, default=4)
    a = parser.parse_args()
    if a.part == "missing":
        print(" ".join(missing()))
        return
    needed = {"rates": ("data",), "train": ("data", "until"), "evaluate": ("valid",)}
    for option in needed.get(a.part, ()):
        if not getattr(a, option):
            parser.error(f"{a.part} needs --{option}")
    a.out.mkdir(parents=True, exist_ok=True)
    from sbtcodec.errors import SbtError

    try:
        parts[a.part](a)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
