"""What larger predictors and more photographs are worth, at equal steps.

    python -m benchmarks.scaling --data TRAIN --data-dir OTHERS --perceptual TRUNK --runs RUNS
        [--held-out CLASSES]

Predictors of local tokens from global ones, trained by themselves from fresh weights: of 0.5, 1, 2
and 4 times the model's own parameters, and of its size on a quarter and on half of the photographs;
each with two seeds, which also choose the photographs. Every run is a folder in RUNS; what is done
is not done again, and what was stopped goes on. Pictures of global tokens alone are measured on the
photographs of OTHERS, as `benchmarks.predictor_quality` does, and pictures that the generator draws
against CLASSES.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.output import add_options, check, dataset_of, heading, paragraph, publish
from benchmarks.predictor_quality import Judge, Quality, released_predictor
from benchmarks.scaling_results import Trained, plot, tables
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.image.files import check_output, write_atomically
from sbtcodec.training import checkpoint
from sbtcodec.training.local_data import LocalData, Squares, local_data
from sbtcodec.training.predictor import trained_predictor
from sbtcodec.training.predictor_run import PredictorTraining, train_predictor
from sbtcodec.training.run import CHECKPOINT

SCALES = (0.5, 1.0, 2.0, 4.0)
SHARES = (0.25, 0.5, 1.0)
TOKENS, SETTING, MEASURES = "tokens", "setting.json", "measures.json"


@dataclass(frozen=True)
class Setting:
    """What the runs of a folder have in common.

    Attributes:
        data: folders of photographs to learn from.
        each: squares of a photograph.
        steps: of each run.
        batch: squares of a step.
    """

    data: tuple[str, ...]
    each: int = 4
    steps: int = 3000
    batch: int = 16


def part_of(data: LocalData, share: float, seed: int) -> LocalData:
    """The squares of a share of the photographs; those of a smaller share are among them."""
    if share == 1:
        return data
    count = max(1, round(share * data.photographs))
    chosen = np.random.default_rng(seed).permutation(data.photographs)[:count]
    squares = []
    for s in data.squares:
        rows = np.flatnonzero(np.isin(s.photographs, chosen))
        if len(rows):
            squares.append(Squares(s.levels[rows], s.y[rows], s.photographs[rows], None))
    return replace(data, squares=tuple(squares), photographs=count)


def trained(
    codec: Codec, judge: Judge, about: str, data: LocalData, run: PredictorTraining, folder: Path
) -> Quality:
    """Train and measure, as far as that is still to be done.

    Args:
        codec: whose tokens.
        judge: what is measured on.
        about: what `judge` is, for the file of measures.
        data: to learn from.
        run: how.
        folder: of the run.
    """
    tokenizer, path = codec.release.model.tokenizer, folder / CHECKPOINT
    resume = path.is_file()
    if not resume or checkpoint.load(path)[1]["step"] < run.length:
        train_predictor(run, tokenizer, data, out=folder, resume=resume)
    kept = folder / MEASURES
    if kept.is_file():
        found = json.loads(kept.read_text())
        if found["about"] == about:
            return Quality(**found["quality"])
    quality = judge.quality(trained_predictor(path, tokenizer))
    text = json.dumps({"about": about, "quality": quality.to_json()})
    write_atomically(kept, text.encode(), force=True)
    return quality


def all_trained(
    codec: Codec,
    judge: Judge,
    about: str,
    runs: Path,
    setting: Setting,
    seeds: Sequence[int],
) -> list[Trained]:
    """All runs, in order.

    Raises:
        SbtError: the folder has runs of another setting.
    """
    runs.mkdir(parents=True, exist_ok=True)
    told = json.dumps(asdict(setting) | {"model": codec.release.sha256})
    if (runs / SETTING).is_file() and (runs / SETTING).read_text() != told:
        raise SbtError(
            f"{runs} has runs of another setting, {(runs / SETTING).read_text()}, expected {told};"
            " take another folder"
        )
    (runs / SETTING).write_text(told)
    folders = [Path(folder) for folder in setting.data]
    data = local_data(codec.release, runs / TOKENS, folders=folders, each=setting.each)
    kinds = [(scale, 1.0) for scale in SCALES] + [(1.0, share) for share in SHARES[:-1]]
    done = []
    for seed in seeds:
        for scale, share in tqdm(kinds, desc=f"runs of seed {seed}", disable=None):
            name = f"scale-{scale:g}-data-{share:g}-seed-{seed}"
            recipe = PredictorTraining(
                length=setting.steps, batch=setting.batch, scale=scale, seed=seed
            )
            part = part_of(data, share, seed)
            quality = trained(codec, judge, about, part, recipe, runs / name)
            done.append(Trained(scale, share, seed, part.photographs, quality))
    return done


def run(
    codec: Codec,
    dataset: Dataset,
    runs: Path,
    setting: Setting,
    *,
    seeds: Sequence[int] = (0, 1),
    trunk: Path | None = None,
    held_out: Path | None = None,
) -> tuple[str, str]:
    """Train and measure; gives the text and the plot.

    Raises:
        SbtError: photographs, a trunk or runs are not what they should be.
    """
    judge = Judge(codec.release, dataset, trunk, held_out=held_out)
    title = heading(dataset, codec)
    asked = (("VGG", trunk), ("samples", held_out))
    about = "; ".join([title, *(f"{'with' if p else 'without'} {what}" for what, p in asked)])
    done = all_trained(codec, judge, about, runs, setting, seeds)
    own = judge.quality(released_predictor(codec.release))
    notes = f"""
        Means over {len(seeds)} seeds, ± half of their range. {setting.steps} steps of
        {setting.batch} squares each, {setting.each} squares of a photograph to draw from. The seed
        is that of weights, squares and of the part of the photographs. Pictures of global tokens
        alone. Error of y: of local tokens, mean over channels of the squared error relative to the
        variance; weighted: by what the decoder makes of it, which is what is minimised. VGG: less
        is better. Samples: Frechet distance of pictures that the generator draws to photographs,
        less is better. The second table has the slopes of straight lines by least squares: what a
        doubling adds.
    """
    return "\n\n".join([title, tables(done, own), paragraph(notes)]), plot(done)


def main() -> None:
    """Print the tables, and draw the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--data", nargs="+", required=True, help="folders to learn from")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--each", type=int, default=4, help="squares of a photograph")
    parser.add_argument("--steps", type=int, default=3000, help="of each run")
    parser.add_argument("--batch", type=int, default=16, help="squares of a step")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--perceptual", type=Path, help="a VGG-16 trunk")
    parser.add_argument("--held-out", type=Path, help="photographs of the generator's classes")
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    a = parser.parse_args()
    setting = Setting(tuple(a.data), a.each, a.steps, a.batch)
    try:
        check(a.out, force=a.force)
        if a.plot is not None:
            check_output(a.plot, force=a.force)
        codec = Codec.load("cpu", precision="float32")
        dataset = dataset_of(a.data_dir, a.limit)
        trunk, held_out = a.perceptual, a.held_out
        text, svg = run(
            codec, dataset, a.runs, setting, seeds=a.seeds, trunk=trunk, held_out=held_out
        )
        publish(text, a.out, force=a.force)
        if a.plot is not None:
            write_atomically(a.plot, svg.encode(), force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
