"""What modelling global tokens alone spares, as tables of the runs of `generator_claims`.

    python -m benchmarks.generator_claim_tables --runs RUN [--out FILE] [--force]

Computation of a sample; distances to photographs, and bits, against minutes and operations of
training; and the operations of training that either needs to be as near to photographs.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.generator_claims import SAMPLES, SAMPLING, kind_of
from benchmarks.generator_kinds import KINDS
from benchmarks.output import check, paragraph, place, publish, table
from sbtcodec.codec.codec import Codec
from sbtcodec.generation.config import WINDOW
from sbtcodec.generation.draws import Draws


def computation(codec: Codec) -> list[tuple[str, ...]]:
    """Rows of the first table: operations, time and parameters of a sample."""
    rows = []
    for name in KINDS:
        kind = kind_of(name, codec, tuple("abcdefghij"))
        model = kind.model().eval()
        with torch.inference_mode():
            list(kind.drawn(model, codec, 0, [Draws(0, 0)], SAMPLING))
            with FlopCounterMode(display=False) as counter:
                list(kind.drawn(model, codec, 0, [Draws(0, 0)], SAMPLING))
            start = time.perf_counter()
            for i in range(5):
                list(kind.drawn(model, codec, 0, [Draws(0, i)], SAMPLING))
            seconds = (time.perf_counter() - start) / 5
        parameters = sum(p.numel() for p in model.parameters()) / 1e6
        numbers = f"{parameters:.1f}", f"{counter.get_total_flops() / 1e9:.1f}", f"{seconds:.2f}"
        rows.append((name, str(kind.tokens), *numbers))
    return rows


def spent(lines: list[dict[str, float]], distance: float) -> float:
    """Operations of training after which a run is as near to photographs, between its marks.

    Args:
        lines: of a run, in order; at least one is as near.
        distance: the Frechet distance.
    """
    before = None
    for line in lines:
        if line["frechet"] <= distance:
            break
        before = line
    if before is None:
        return line["training_operations"]
    share = (before["frechet"] - distance) / (before["frechet"] - line["frechet"])
    logs = [np.log(one["training_operations"]) for one in (before, line)]
    return float(np.exp(logs[0] + share * (logs[1] - logs[0])))


def at_equal_quality(runs: Path) -> list[tuple[str, ...]]:
    """Rows of the third table: operations to the distance that both runs of a seed reach."""
    rows = []
    for path in sorted(runs.glob("global-*.jsonl")):
        seed = path.stem.rpartition("-")[2]
        lines = {name: lines_of(runs / f"{name}-{seed}.jsonl") for name in KINDS}
        distance = max(min(mark["frechet"] for mark in marks) for marks in lines.values())
        operations = {name: spent(marks, distance) for name, marks in lines.items()}
        less = f"{100 * (1 - operations['global'] / operations['detail']):.0f} %"
        numbers = (f"{count / 1e12:.0f}" for count in operations.values())
        rows.append((seed, f"{distance:.3f}", *numbers, less))
    return rows


def lines_of(path: Path) -> list[dict[str, float]]:
    """The marks of a run, in order; of one that was made twice, the last."""
    lines = (json.loads(line) for line in path.read_text().splitlines())
    return list({line["minutes"]: line for line in lines}.values())


def progress(runs: Path) -> list[tuple[str, ...]]:
    """Rows of the second table: all runs at their marks."""
    rows = []
    for path in sorted(runs.glob("*-*.jsonl")):
        for line in lines_of(path):
            operations = f"{line['training_operations'] / 1e12:.0f}"
            row = (path.stem, line["minutes"], line["steps"], operations, line["bits_a_pixel"])
            rows.append(tuple(map(str, (*row, line["frechet"], line["kernel"]))))
    return rows


def vividly(runs: Path) -> list[tuple[str, ...]]:
    """Rows of the fourth table: runs by pictures in the vivid look."""
    rows = []
    for path in sorted(runs.glob("*.vivid.json")):
        line = json.loads(path.read_text())
        name = path.name.partition(".")[0]
        rows.append((name, *(str(line[key]) for key in ("minutes", "frechet", "kernel"))))
    return rows


def note() -> str:
    """What the distances are."""
    return paragraph(
        f"""Transformers of one size (256 wide, 6 layers) over the {WINDOW} global tokens of a
        picture of 256x256 pixels, and over these and the 256 local tokens of the first detail layer
        of a file of quality 10. {SAMPLES} samples of all ten classes, drawn in {SAMPLING.steps}
        rounds without guidance, against {2 * SAMPLES} photographs that nothing was trained on;
        distances as of `benchmarks.generator`. Minutes are those of one thread of the processor;
        operations those of training up to then, and in the third table up to the distance that both
        runs of a seed reach, between marks in proportion."""
    )


def main() -> None:
    """Print, and write, the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--out", type=Path, help="write the tables to this file as well")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    arguments = parser.parse_args()
    check(arguments.out, force=arguments.force)
    codec = Codec.load(device="cpu")
    sample = "tokens", "how many", "parameters, millions", "10^9 operations", "seconds"
    runs = "run", "minutes", "steps", "10^12 operations", "bits a pixel", "Frechet", "kernel"
    equal = ("seed", "Frechet", *(f"10^12 operations, {name}" for name in KINDS), "less")
    parts = (
        f"model {codec.model_id}; {place()}",
        table(sample, computation(codec)),
        table(runs, progress(arguments.runs)),
        table(equal, at_equal_quality(arguments.runs)),
        table(("in the vivid look", "minutes", "Frechet", "kernel"), vividly(arguments.runs)),
        note(),
    )
    publish("\n\n".join(parts), arguments.out, force=arguments.force)


if __name__ == "__main__":
    main()
