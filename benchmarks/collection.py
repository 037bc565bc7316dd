"""Throughput of the Ray engine for collections, against one process without it.

    python -m benchmarks.collection --data-dir FOLDER [--images 64] [--side 768] [--workers 1 2]
        [--quality 50] [--out TABLE]

compresses crops of the photographs in FOLDER, from PNG files to `.sbt` files, and prints megapixels
per second. The machine should be idle.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import torch

from benchmarks.output import add_options, check, dataset_of, heading, paragraph, publish, table
from sbtcodec.cli.common.encoding import FileEncoder
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.rate_target import RateTarget
from sbtcodec.collection.engine import images_per_task, run
from sbtcodec.collection.extra import require
from sbtcodec.collection.manifest import Entry, Settings
from sbtcodec.collection.plan import make_plan
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.image.files import write_atomically
from sbtcodec.image.pixels import load_image
from sbtcodec.image.saving import save_image
from sbtcodec.limits import DEFAULT_MAX_PIXELS

HEADINGS = ("", "total s", "start s", "MP/s", "MP/s after start")
NOTE = """Total: from the first look at the folder to the last file and the whole manifest.
Start: until every worker has ended a first task, so Ray has started, and workers have loaded torch
and the model; of one process, until the first image. After start: the pixels of all later results,
by the time from there to the last. One process has as many threads as there are cores;
among workers the cores are divided."""


@dataclass(frozen=True)
class Timing:
    """A run: pixels of each result and when it came, and the end, in seconds from the beginning."""

    results: list[tuple[int, float]]
    end: float
    start: int
    """Number of results that belong to the start."""

    def cells(self) -> list[str]:
        """What the table shows of it."""
        first, last = self.results[self.start - 1][1], self.results[-1][1]
        pixels = [pixels for pixels, _ in self.results]
        steady = sum(pixels[self.start :]) / 1e6 / (last - first)
        overall = sum(pixels) / 1e6 / self.end
        return [f"{self.end:.1f}", f"{first:.1f}", f"{overall:.2f}", f"{steady:.2f}"]


def make_crops(dataset: Dataset, folder: Path, images: int, side: int) -> None:
    """Write crops of the images in turn, of at most `side` pixels a side, each of another place."""
    for i, path in enumerate(islice(cycle(dataset.paths), images)):
        rgb = load_image(path).rgb
        turn = i // len(dataset.paths)
        top, left = (16 * turn % max(1, length - side + 1) for length in rgb.shape[:2])
        save_image(rgb[top : top + side, left : left + side], folder / f"{i:05}.png", force=False)


def one_process(folder: Path, out: Path, quality: float) -> Timing:
    """Compress a folder here, one image after another."""
    start = time.perf_counter()
    codec, results = Codec.load("cpu"), []
    for path in sorted(folder.iterdir()):
        rgb = load_image(path.read_bytes()).rgb
        data = codec.compress(rgb, quality)
        write_atomically(out / f"{path.stem}.sbt", data, force=False)
        results.append((rgb.shape[0] * rgb.shape[1], time.perf_counter() - start))
    return Timing(results, time.perf_counter() - start, 1)


def with_ray(folder: Path, out: Path, settings: Settings, workers: int) -> Timing:
    """Compress a folder with workers of a Ray that is started for it.

    Raises:
        SbtError: an image failed, or Ray did.
    """
    start, results = time.perf_counter(), []

    def note(entry: Entry) -> None:
        if entry.error:
            raise SbtError(entry.error)
        pixels = (entry.width or 0) * (entry.height or 0)
        results.append((pixels, time.perf_counter() - start))

    plan = make_plan([str(folder)], str(out), settings)
    encoder = FileEncoder(RateTarget(settings.quality))
    run(plan, note, encoder, device="cpu", workers=workers, max_pixels=DEFAULT_MAX_PIXELS)
    first = workers * images_per_task(len(plan.items), workers)
    return Timing(results, time.perf_counter() - start, first)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--images", type=int, default=64, help="number of crops")
    parser.add_argument("--side", type=int, default=768, help="of a crop, in pixels")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quality", type=float, default=50)
    arguments = parser.parse_args()
    check(arguments.out, force=arguments.force)
    ray = require("ray")
    dataset = dataset_of(arguments.data_dir, arguments.limit)
    codec = Codec.load("cpu")
    settings = Settings(arguments.quality, False, codec.model_id)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "in"
        folder.mkdir()
        make_crops(dataset, folder, arguments.images, arguments.side)

        def measure(name: str, way: Callable[[Path], Timing]) -> list[str]:
            out = Path(temporary) / name
            out.mkdir()
            return [name, *way(out).cells()]

        rows = [
            measure(
                f"one process, {torch.get_num_threads()} threads",
                lambda out: one_process(folder, out, arguments.quality),
            )
        ]
        for workers in arguments.workers:
            rows.append(
                measure(
                    f"Ray, {workers} worker{'s' if workers > 1 else ''}",
                    lambda out, workers=workers: with_ray(folder, out, settings, workers),
                )
            )
    about = (
        f"{arguments.images} crops of at most {arguments.side} x {arguments.side} pixels, PNG to"
        f" .sbt, quality {arguments.quality:g}, ray {ray.__version__}"
    )
    parts = [heading(dataset, codec), about, table(HEADINGS, rows), paragraph(NOTE)]
    publish("\n\n".join(parts), arguments.out, force=arguments.force)


if __name__ == "__main__":
    try:
        main()
    except SbtError as error:
        sys.exit(f"{error}")
