"""Faithful and vivid pictures of the same files, against AVIF and WebP of no more bytes.

    python -m benchmarks.looks --data-dir FOLDER --perceptual TRUNK --kept FOLDER [--vision N]
        [--jobs N] [--out TABLE]

measures files of global tokens alone and of qualities 5, 10, 20 and 30. What was measured of an
image is kept, so that a run goes on where it was stopped, and a new look costs no more than itself.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from tqdm import tqdm

from benchmarks.output import (
    add_options,
    check,
    dataset_of,
    heading,
    paragraph,
    publish,
    table,
)
from benchmarks.rivals import Shrunk, avif_container, webp_container
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.codecs import SbtCodec, load_codec
from sbtcodec.evaluation.datasets import Dataset, load_image
from sbtcodec.evaluation.distribution import COMPONENTS, Features, features_of, frechet_distance
from sbtcodec.evaluation.metrics import Rgb, psnr, ssimulacra2
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.evaluation.qualities import GLOBALS, parse_quality
from sbtcodec.evaluation.run import bits_per_pixel
from sbtcodec.evaluation.vision import VisionMetric, load_vision_metrics
from sbtcodec.models.looks import look_entry

RATES = (GLOBALS, "5", "10", "20", "30")
FAITHFUL, VIVID, AVIF, WEBP = CODECS = ("faithful", "vivid", "AVIF", "WebP")
PATCH = 256  # pixels of the side of the squares whose features are compared
REDUCED = 8  # times that pictures are made smaller before their colours are compared
SEEN = ("JOD", "FLIP")  # by models of vision
SCORES = ("bytes", "bpp", "PSNR dB", "VGG", "CIEDE2000", "SSIMULACRA2", *SEEN)
DIGITS = (0, 4, 2, 4, 2, 1, 2, 3)


@dataclass(frozen=True)
class Work:
    """What a process is to do, and where it keeps it.

    Attributes:
        trunk: file of the VGG-16 trunk.
        kept: folder.
        threads: of the process.
        names: of CODECS, the ones to measure.
    """

    trunk: Path
    kept: Path
    threads: int
    names: Sequence[str] = CODECS


class Found:
    """What is kept of one picture: its scores by name, and features of its patches."""

    def __init__(self, path: Path) -> None:
        """Of the file `path`, which need not be there yet."""
        self.path, self.scores = path, dict[str, float]()
        self.features: Features = np.zeros((0, 0))
        if path.is_file():
            with np.load(path) as kept:
                self.scores, self.features = json.loads(str(kept["scores"])), kept["features"]

    def keep(self) -> None:
        """Write the file, whole or not at all."""
        part = self.path.with_name(f"part-{self.path.name}")
        np.savez(part, scores=np.array(json.dumps(self.scores)), features=self.features)
        part.replace(self.path)

    def lacks(self, *, vision: bool) -> bool:
        """Whether something of it is still to be measured."""
        return not self.scores or (vision and SEEN[0] not in self.scores)


def patches(rgb: Rgb) -> list[Rgb]:
    """Squares of PATCH pixels side by side, and those shifted by half of it both ways.

    Those of Mentzer et al. (arXiv 2006.09965, section 4.2), who compare sets of them because a set
    of photographs is small.
    """
    height, width = rgb.shape[:2]
    return [
        rgb[top : top + PATCH, left : left + PATCH]
        for shift in (0, PATCH // 2)
        for top in range(shift, height - PATCH + 1, PATCH)
        for left in range(shift, width - PATCH + 1, PATCH)
    ]


def colour_difference(x: Rgb, x_hat: Rgb) -> float:
    """Mean CIEDE2000 of two pictures reduced REDUCED times: whether colours shifted at large."""
    size = tuple(max(1, side // REDUCED) for side in (x.shape[1], x.shape[0]))
    a, b = (
        rgb2lab(np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)))
        for p in (x, x_hat)
    )
    return float(deltaE_ciede2000(a, b).mean())  # type: ignore[no-untyped-call]


def kept_at(work: Work, codec: Codec, image: Path, rate: str, name: str) -> Path:
    """Where the numbers of a picture are kept: those of other models and looks elsewhere."""
    known = [codec.model_id, codec.precision, hashlib.sha256(image.read_bytes()).hexdigest(), rate]
    if name == VIVID:
        known.append(look_entry(codec.release.folder, codec.release.number).sha256)
    digest = hashlib.sha256("\n".join(map(str, known)).encode()).hexdigest()[:16]
    return work.kept / f"{image.stem}-{rate}-{name}-{digest}.npz"


@cache
def _codec() -> Codec:
    return Codec.load("cpu")


@cache
def _distance(trunk: Path) -> VggDistance:
    return VggDistance(trunk)


@cache
def _vision() -> tuple[VisionMetric, ...]:
    return load_vision_metrics(("cvvdp", "flip"))


def measure(work: Work, image: Path, *, vision: bool) -> None:
    """Measure what is not kept of an image yet, at all rates and by all codecs.

    Raises:
        SbtError: the image cannot be read, or something that measures is not installed.
    """
    torch.set_num_threads(work.threads)
    codec, x = _codec(), load_image(image)
    rivals = {
        AVIF: (Shrunk(load_codec("avif"), x), avif_container),
        WEBP: (Shrunk(load_codec("webp"), x), webp_container),
    }
    for rate in RATES:
        wanted = {name: Found(kept_at(work, codec, image, rate, name)) for name in work.names}
        wanted = {name: found for name, found in wanted.items() if found.lacks(vision=vision)}
        if not wanted:
            continue
        data = SbtCodec(codec).encode(x, parse_quality(rate))
        for name, found in wanted.items():
            if name in rivals:
                shrunk, container = rivals[name]
                coded = shrunk.best(len(data), container, free=True)
                x_hat, size = coded.rgb, coded.size
            else:
                x_hat = SbtCodec(codec, realism=float(name == VIVID)).decode(data)
                size = len(data)
            _score(found, x, x_hat, size, _distance(work.trunk), vision=vision)
            found.keep()


def _score(
    found: Found, x: Rgb, x_hat: Rgb, size: int, distance: VggDistance, *, vision: bool
) -> None:
    if not found.scores:
        values = (
            size,
            bits_per_pixel(size, x),
            psnr(x, x_hat),
            distance(x, x_hat),
            colour_difference(x, x_hat),
            ssimulacra2(x, x_hat),
        )
        found.scores = dict(zip(SCORES, map(float, values), strict=False))
        found.features = _features(distance, x_hat)
    if vision:
        for name, metric in zip(SEEN, _vision(), strict=True):
            found.scores[name] = metric.measure(x, x_hat)


def _features(distance: VggDistance, rgb: Rgb) -> Features:
    squares = patches(rgb)
    return features_of(distance, squares) if squares else np.zeros((0, 0))


def report(work: Work, dataset: Dataset, codec: Codec, vision: int) -> str:
    """The tables of what is kept."""
    real = [_features(_distance(work.trunk), rgb) for _, rgb in dataset.images()]
    rows, ratios = [], []
    for rate in RATES:
        means: dict[str, list[float]] = {}
        for name in work.names:
            every = [Found(kept_at(work, codec, path, rate, name)) for path in dataset.paths]
            means[name] = [
                *(_mean(every[: vision if s in SEEN else None], s) for s in SCORES),
                _frechet([f.features for f in every], real),
            ]
            shown = [f"{v:.{d}f}" for v, d in zip(means[name], (*DIGITS, 3), strict=True)]
            rows.append([f"{rate}, {name}", *shown])
        ratios.append(_compared(rate, means))
    count = sum(map(len, real))
    notes = f"""
        Means over images. VGG (the look was trained by it) is sbtcodec's VggDistance, 0 is best;
        Frechet is of VGG features of {count} patches of {PATCH} pixels, shifted ones among them
        (0 is best; in {COMPONENTS} components of the photographs' patches, in units of their
        variance). CIEDE2000 is of pictures reduced {REDUCED} times: shifts of colour at large.
        JOD (ColorVideoVDP, 10 is best) and FLIP (0 is best) are of the first {vision} images; nan
        where not measured. AVIF (speed 4) and WebP (method 6) have the bytes of the .sbt file of
        that image without their containers, of an image made smaller by the factor of the best PSNR
        (Lanczos) and made larger again (bicubic).
    """
    title = f"{heading(dataset, codec)}, look {_look_id(codec)}"
    heads = ("rate, codec", *SCORES, "Frechet")
    compared = ("rate", "PSNR dB", "VGG", "Frechet", "CIEDE2000", "JOD", "FLIP")
    ratio_note = """
        Vivid against faithful: PSNR and JOD as differences, the others as ratios, below 1 nearer.
    """
    return "\n\n".join(
        [
            title,
            table(heads, rows),
            paragraph(notes),
            table(compared, ratios),
            paragraph(ratio_note),
        ]
    )


def _mean(some: Sequence[Found], score: str) -> float:
    return float(np.mean([found.scores[score] for found in some])) if some else float("nan")


def _compared(rate: str, means: dict[str, list[float]]) -> list[str]:
    vivid, faithful = (
        dict(zip((*SCORES, "Frechet"), means[name], strict=True)) for name in (VIVID, FAITHFUL)
    )
    cells = [rate, f"{vivid['PSNR dB'] - faithful['PSNR dB']:+.2f}"]
    cells += [f"{vivid[s] / faithful[s]:.3f}" for s in ("VGG", "Frechet", "CIEDE2000")]
    return [
        *cells,
        f"{vivid['JOD'] - faithful['JOD']:+.2f}",
        f"{vivid['FLIP'] / faithful['FLIP']:.3f}",
    ]


def _frechet(made: Sequence[Features], real: Sequence[Features]) -> float:
    """Of features of each image's patches; not a number of too few of them."""
    a, b = (
        np.concatenate([f for f in some if len(f)] or [np.zeros((0, 1))]) for some in (made, real)
    )
    return frechet_distance(a, b) if min(len(a), len(b)) > COMPONENTS else float("nan")


def _look_id(codec: Codec) -> str:
    return look_entry(codec.release.folder, codec.release.number).sha256[:8]


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--perceptual", type=Path, required=True, help="VGG-16 trunk (safetensors)")
    parser.add_argument("--kept", type=Path, required=True, help="folder for what was measured")
    parser.add_argument("--vision", type=int, default=0, help="images for JOD and FLIP (slow)")
    parser.add_argument(
        "--codecs", nargs="+", choices=CODECS, default=CODECS, help="both looks, and others"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    a = parser.parse_args()
    try:
        check(a.out, force=a.force)
        dataset, codec = dataset_of(a.data_dir, a.limit), _codec()
        a.kept.mkdir(parents=True, exist_ok=True)
        threads = max(1, torch.get_num_threads() // a.jobs)
        work = Work(a.perceptual, a.kept, threads, a.codecs)
        vision = min(a.vision, len(dataset.paths))
        with ProcessPoolExecutor(a.jobs, mp_context=get_context("spawn")) as pool:
            todo = [
                pool.submit(measure, work, path, vision=index < vision)
                for index, path in enumerate(dataset.paths)
            ]
            for done in tqdm(todo, disable=None):
                done.result()
        publish(report(work, dataset, codec, vision), a.out, force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
