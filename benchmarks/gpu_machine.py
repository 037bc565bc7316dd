"""What a borrowed machine is, what it lacks, and how fast whole files are there.

Two parts of `gpu.py`. Imports are those of each part, since `check` also says what is missing.
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
from typing import Any

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

    codecs = [Codec.load(a.device, precision=kind) for kind in ("float32", "bfloat16")]
    for height, width in TINY_SIZES if a.tiny else SIZES:
        rgb = np.asarray(Image.fromarray(demo_picture()).resize((width, height)))
        repeat = 3 if height * width < 1e6 else 1
        for codec in codecs:
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
                bf16=codec.bf16,
                width=width,
                height=height,
                **{f"{what}_mp_per_s": round(rate, 2) for what, rate in rates.items()},
            )
