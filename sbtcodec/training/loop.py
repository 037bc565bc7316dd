"""The loop of a run: steps until its time is over, with a log and a checkpoint now and then."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
import torch.distributed as dist
from tqdm import tqdm

from sbtcodec.runtime.memory import SPARE, give_back
from sbtcodec.training.processes import clock
from sbtcodec.training.run import CHECKPOINT, LOG, SECONDS_PER_CHECKPOINT, SECONDS_PER_LOG_LINE


class Running(Protocol):
    """What the loop needs of a run.

    Attributes:
        device: where it computes.
        step: steps made.
        seconds: used, by `clock`.
    """

    device: torch.device
    step: int
    seconds: float

    @property
    def progress(self) -> float:
        """Share of the run that is over, 0..1."""
        ...

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        ...


class Measurement(NamedTuple):
    """What is measured on what nothing was learnt from.

    Attributes:
        name: in the log.
        value: measures it.
        minutes: of `clock` between two.
    """

    name: str
    value: Callable[[], float]
    minutes: float


def learn(
    run: Running,
    step: Callable[[], Mapping[str, float]],
    out: Path,
    *,
    steps: int | None = None,
    measurement: Measurement | None = None,
    rank: int = 0,
    world: int = 1,
) -> Path:
    """Make steps, and leave `checkpoint.safetensors` and `log.jsonl` in `out`, which exists.

    Args:
        run: begun, or restored.
        step: makes one, whose number the run has, and returns numbers whose means are logged.
        out: folder of the run.
        steps: stop after so many in all, whatever the time.
        measurement: made every now and then.
        rank: of this process; the first one writes.
        world: number of processes, which have the clock of the first.

    Returns:
        Path of the checkpoint.
    """
    path = out / CHECKPOINT
    bar = tqdm(total=100, unit="%", disable=None if rank == 0 else True, desc="training")
    logged = saved = trimmed = time.monotonic()
    measured = run.seconds
    sums: dict[str, list[float]] = {}
    while run.progress < 1 and (steps is None or run.step < steps):
        start = clock(run.device)
        for key, value in step().items():
            sums.setdefault(key, []).append(value)
        run.step += 1
        run.seconds += clock(run.device) - start
        now = time.monotonic()
        if world > 1:
            seconds = torch.tensor([run.seconds], dtype=torch.float64, device=run.device)
            dist.broadcast(seconds, 0)
            run.seconds = float(seconds)
        if now - trimmed > SECONDS_PER_LOG_LINE:
            give_back(SPARE)
            trimmed = now
        if rank == 0 and now - logged > SECONDS_PER_LOG_LINE:
            line = {"step": run.step, "minutes": round(run.seconds / 60, 2)}
            line |= {key: round(sum(v) / len(v), 5) for key, v in sums.items()}
            if measurement is not None and run.seconds - measured >= 60 * measurement.minutes:
                line[measurement.name] = round(measurement.value(), 5)
                measured = run.seconds
            with (out / LOG).open("a") as log:
                log.write(json.dumps(line) + "\n")
            bar.set_postfix(line)
            bar.update(int(100 * run.progress) - bar.n)
            logged, sums = time.monotonic(), {}
        if rank == 0 and now - saved > SECONDS_PER_CHECKPOINT:
            run.save(path)
            saved = now
    if rank == 0:
        run.save(path)
    bar.close()
    return path
