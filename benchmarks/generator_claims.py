"""What modelling global tokens alone spares: computation, and time to learn.

    python -m benchmarks.generator_claims tokens --classes FOLDER --held-out FOLDER --out RUN
    python -m benchmarks.generator_claims learn KIND --classes FOLDER --held-out FOLDER --trunk FILE
        --out RUN [--minutes 60] [--seed 0]
    python -m benchmarks.generator_claims vivid KIND ... (as learn)

Two transformers of one size: over the 64 global tokens of a picture of 256x256 pixels (`global`),
and over these and the 256 local tokens of the first detail layer of a file of quality 10
(`detail`). `tokens` codes the photographs both ways and keeps the tokens in RUN; `learn` trains one
and appends to RUN/KIND-SEED.jsonl, every few minutes of the processor, bits a pixel of held-out
tokens and distances of samples to held-out photographs, and goes on from the last such mark if it
was stopped; `vivid` measures what it has learnt by pictures in the vivid look.
`benchmarks.generator_claim_tables` prints what that gives.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from benchmarks.detail_generator import coded
from benchmarks.generator_kinds import KINDS, CodedSquares, Kind, bits_a_pixel
from benchmarks.token_sources import photographs
from sbtcodec.codec.codec import Codec
from sbtcodec.evaluation.distribution import features_of, frechet_distance, kernel_distance
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.generation.draws import Draws
from sbtcodec.generation.filling import Sampling
from sbtcodec.image.files import write_atomically
from sbtcodec.image.opening import open_image
from sbtcodec.runtime.memory import SPARE, give_back
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.training import checkpoint
from sbtcodec.training.data import photograph_paths
from sbtcodec.training.generator_run import GeneratorRun, optimisers_of
from sbtcodec.training.generator_stage import PRESETS
from sbtcodec.training.processes import clock
from sbtcodec.training.token_data import class_folders, square, tokens_of_squares
from sbtcodec.training.token_run import update

EACH = 4  # squares of a photograph
MARKS = (4, 8, 15, 30, 45, 60)  # minutes at which a run is measured and kept
SAMPLES = 250
SAMPLING = Sampling(steps=12, guidance=0.0)  # with it samples are farther from photographs
GROUP = 10
COUNTED = 20  # steps before the one whose operations are counted: one is like another
TRIMMED = 20  # steps after which free memory is given back: they differ in what they take

Row = dict[str, NDArray[np.generic]]


@cache
def coder() -> Codec:
    """The codec of a process that makes tokens, on one thread."""
    torch.set_num_threads(1)
    return Codec.load(device="cpu")


def row_of(work: tuple[int, int, Path, int]) -> Row:
    """Tokens of the squares of a photograph: its number, label and path, and how many squares."""
    number, label, path, each = work
    with open_image(path) as image:
        rgb = image.convert("RGB")
    rng = np.random.default_rng((1, number))
    squares = np.stack([square(rgb, rng if i else None) for i in range(each)])
    both = coded(coder(), squares)
    levels = tokens_of_squares(coder().release, squares, "cpu").numpy()
    return {"levels": levels, "first": both.levels, "q": both.q, "labels": np.full(each, label)}


def keep_tokens(arguments: argparse.Namespace) -> None:
    """Code squares of photographs both ways; write RUN/train.npz and RUN/judged.npz."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        for name, folder, each in (
            ("judged", arguments.held_out, 1),
            ("train", arguments.classes, EACH),
        ):
            paths = [
                (k, p) for k, f in enumerate(class_folders(folder)) for p in photograph_paths(f)
            ]
            work = [(number, label, path, each) for number, (label, path) in enumerate(paths)]
            done = tqdm(pool.map(row_of, work, chunksize=8), desc=name, total=len(work))
            rows = list(done)
            arrays = {n: np.concatenate([row[n] for row in rows]) for n in rows[0]}
            np.savez_compressed(arguments.out / f"{name}.npz", **arrays)


def kind_of(name: str, codec: Codec, classes: tuple[str, ...]) -> Kind:
    """One of the two, of the sizes that are compared."""
    _, sizes = PRESETS["small"]
    tokenizer = codec.tokenizer.config
    config = replace(sizes, levels=tokenizer.levels, classes=classes)
    return KINDS[name](config, tokenizer.group_slice(0).stop)


@torch.inference_mode()
def sampled(
    kind: Kind, model: nn.Module, codec: Codec, seed: int, realism: float = 0.0
) -> list[NDArray[np.uint8]]:
    """SAMPLES pictures uint8 [256, 256, 3], of all classes alike."""
    made: list[NDArray[np.uint8]] = []
    each = SAMPLES // len(kind.config.classes)
    for label in range(len(kind.config.classes)):
        numbers = [label * each + i for i in range(each)]
        for at in range(0, each, GROUP):
            draws = [Draws(seed, n) for n in numbers[at : at + GROUP]]
            made += kind.drawn(model, codec, label, draws, SAMPLING, realism)
    return made


class Learner:
    """What both commands that look at a run have: its kind, its files, and how it is judged."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        """Load the codec, and take the features of the photographs to judge by."""
        self.codec, self.seed = Codec.load(device="cpu"), arguments.seed
        classes = tuple(f.name for f in class_folders(arguments.classes))
        self.kind = kind_of(arguments.kind, self.codec, classes)
        self.kept = arguments.out / f"{self.kind.name}-{self.seed}.safetensors"
        self.trunk = VggDistance(arguments.trunk)
        self.real = features_of(self.trunk, photographs(arguments.held_out, 2 * SAMPLES))

    def distances(self, model: nn.Module, realism: float = 0.0) -> dict[str, float]:
        """How far samples are from photographs."""
        made = sampled(self.kind, model, self.codec, self.seed, realism)
        features = features_of(self.trunk, made)
        return {
            "frechet": round(frechet_distance(features, self.real), 4),
            "kernel": round(kernel_distance(features, self.real), 4),
        }


def learn(arguments: argparse.Namespace) -> None:
    """Train one transformer, and measure it at the marks."""
    learner = Learner(arguments)
    kind, seed, kept = learner.kind, learner.seed, learner.kept
    data, judged = (CodedSquares(arguments.out / f"{n}.npz") for n in ("train", "judged"))
    recipe, _ = PRESETS["small"]
    recipe = replace(recipe, minutes=arguments.minutes, seed=seed, batch=kind.batch)
    torch.manual_seed(seed)
    model = kind.model()
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    cpu = torch.device("cpu")
    run = GeneratorRun(recipe, model, cpu, optimisers_of(model, recipe), averaged)
    if kept.is_file():
        run.restore(kept)
    operations = 0
    marks = [m for m in MARKS if run.seconds < 60 * m and m <= arguments.minutes]
    counted = run.step + COUNTED
    while marks:
        sequence = np.random.SeedSequence((seed, run.step))
        rng = torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
        rows = torch.randint(0, len(data.labels), (recipe.batch,), generator=rng)
        hidden = torch.rand(len(rows), generator=rng) < recipe.any_share
        labels = data.labels[rows].where(~hidden, torch.tensor(kind.config.any))
        start = clock(cpu)
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16("cpu")):
            if run.step == counted:
                with FlopCounterMode(display=False) as counter:
                    kind.loss(model, data, rows, labels, rng).backward()
                operations = counter.get_total_flops()
            loss = kind.loss(model, data, rows, labels, rng)
        update(run, loss, 1)
        run.step += 1
        run.seconds += clock(cpu) - start
        if run.step % TRIMMED == 0:
            give_back(SPARE)
        if run.seconds < 60 * marks[0]:
            continue
        mean = kind.model()
        mean.load_state_dict(averaged)
        line = {
            "minutes": marks.pop(0),
            "steps": run.step,
            "training_operations": operations * run.step,
            "bits_a_pixel": round(bits_a_pixel(kind, mean, judged), 5),
            **learner.distances(mean),
        }
        with kept.with_suffix(".jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        run.save(kept)


def vivid(arguments: argparse.Namespace) -> None:
    """Measure what a run has learnt so far by pictures in the vivid look."""
    learner = Learner(arguments)
    tensors, progress = checkpoint.load(learner.kept)
    model = learner.kind.model()
    model.load_state_dict(checkpoint.averaged(tensors))
    line = {
        "minutes": round(progress["seconds"] / 60),
        **learner.distances(model.eval(), realism=1),
    }
    write_atomically(learner.kept.with_suffix(".vivid.json"), json.dumps(line).encode(), force=True)


def main() -> None:
    """Do one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("tokens", "learn", "vivid"))
    parser.add_argument("kind", nargs="?", choices=sorted(KINDS))
    parser.add_argument("--classes", type=Path, help="folder of folders of photographs")
    parser.add_argument("--held-out", type=Path, help="the same, that nothing was trained on")
    parser.add_argument("--trunk", type=Path, help="a VGG-16 trunk")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes that make tokens")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    arguments = parser.parse_args()
    {"tokens": keep_tokens, "learn": learn, "vivid": vivid}[arguments.what](arguments)


if __name__ == "__main__":
    main()
