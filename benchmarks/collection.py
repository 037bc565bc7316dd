"""Throughput of the Ray engine for collections, against one process without it.

    python -m benchmarks.collection --data-dir FOLDER [--crops 128x128:320 768x512:40]
        [--workers 1 2] [--quality 50] [--out TABLE]

compresses crops of the photographs in FOLDER, from PNG files to `.sbt` files, and prints megapixels
per second: of small pictures, where what is done for each file shows, and of larger ones. The
machine should be idle.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
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
from sbtcodec.runtime.cores import usable_cores

HEADINGS = ("", "total s", "start s", "MP/s", "MP/s after start", "of one process")
NOTE = """Total: from the first look at the folder to the last file and the whole manifest.
Start: until every worker has ended a first task, so Ray has started, and workers have loaded torch
and the model; of one process, until the first image. After start: the pixels of all later results,
by the time from there to the last; and that speed by the one of one process, with as many threads
as it is fastest with. Among workers the cores are divided, and of several a worker leaves one to
Ray."""


@dataclass(frozen=True)
class Crops:
    """What is compressed: pictures of at most that many pixels, and their number."""

    width: int
    height: int
    images: int

    @classmethod
    def of(cls, text: str) -> "Crops":
        """Read WIDTHxHEIGHT:NUMBER; raises `ValueError`."""
        size, _, images = text.partition(":")
        width, height = map(int, size.split("x"))
        return cls(width, height, int(images))

    def __str__(self) -> str:
        """For people."""
        return f"{self.images} crops of at most {self.width} x {self.height} pixels"


@dataclass(frozen=True)
class Timing:
    """A run: pixels of each result and when it came, and the end, in seconds from the beginning."""

    results: list[tuple[int, float]]
    end: float
    start: int
    """Number of results that belong to the start."""

    @property
    def steady(self) -> float:
        """Megapixels a second after the start."""
        first, last = self.results[self.start - 1][1], self.results[-1][1]
        return sum(pixels for pixels, _ in self.results[self.start :]) / 1e6 / (last - first)

    def cells(self, alone: "Timing") -> list[str]:
        """What the table shows of it, beside that of one process."""
        first = self.results[self.start - 1][1]
        overall = sum(pixels for pixels, _ in self.results) / 1e6 / self.end
        speeds = [f"{overall:.2f}", f"{self.steady:.2f}", f"{self.steady / alone.steady:.2f}"]
        return [f"{self.end:.1f}", f"{first:.1f}", *speeds]


def make_crops(dataset: Dataset, folder: Path, crops: Crops) -> None:
    """Write crops of the images in turn, each of another place."""
    sides = crops.height, crops.width
    for i, path in enumerate(islice(cycle(dataset.paths), crops.images)):
        rgb = load_image(path).rgb
        turn = 16 * (i // len(dataset.paths))
        top, left = (
            turn % max(1, length - side + 1) for length, side in zip(rgb.shape, sides, strict=False)
        )
        crop = rgb[top : top + crops.height, left : left + crops.width]
        save_image(crop, folder / f"{i:05}.png", force=False)


def one_process(folder: Path, out: Path, quality: float, threads: int) -> Timing:
    """Compress a folder here, one image after another."""
    torch.set_num_threads(threads)
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


def measure(
    dataset: Dataset, crops: Crops, settings: Settings, workers: Sequence[int]
) -> list[list[str]]:
    """The rows of one table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "in"
        folder.mkdir()
        make_crops(dataset, folder, crops)
        timings: list[tuple[str, Timing]] = []
        for threads in sorted({1, usable_cores()}):
            out = Path(temporary) / f"alone-{threads}"
            out.mkdir()
            timing = one_process(folder, out, settings.quality, threads)
            timings.append((f"one process, {plural(threads, 'thread')}", timing))
        alone = max((timing for _, timing in timings), key=lambda timing: timing.steady)
        for count in workers:
            timing = with_ray(folder, Path(temporary) / f"{count}", settings, count)
            timings.append((f"Ray, {plural(count, 'worker')}", timing))
    return [[name, *timing.cells(alone)] for name, timing in timings]


def plural(count: int, what: str) -> str:
    """A number of things."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument(
        "--crops",
        type=Crops.of,
        nargs="+",
        default=[Crops(128, 128, 320), Crops(768, 512, 40)],
        metavar="WxH:N",
        help="sizes in pixels, and how many",
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quality", type=float, default=50)
    arguments = parser.parse_args()
    check(arguments.out, force=arguments.force)
    ray = require("ray")
    dataset = dataset_of(arguments.data_dir, arguments.limit)
    codec = Codec.load("cpu")
    settings = Settings(arguments.quality, False, codec.model_id)
    parts = [heading(dataset, codec)]
    for crops in arguments.crops:
        parts += [
            f"{crops}, PNG to .sbt, quality {arguments.quality:g}, ray {ray.__version__}",
            table(HEADINGS, measure(dataset, crops, settings, arguments.workers)),
        ]
    parts.append(paragraph(NOTE))
    publish("\n\n".join(parts), arguments.out, force=arguments.force)


if __name__ == "__main__":
    try:
        main()
    except SbtError as error:
        sys.exit(f"{error}")
