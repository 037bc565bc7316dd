"""How fast this build is against another revision of it, both in turns on one machine, as ratios.

    python -m benchmarks.ratios REVISION --data-dir FOLDER [--limit 6] [--repeat 5] [--out FILE]

The other revision is taken from git, with its own weights, and run by the same Python with the same
packages. Encoding and decoding: with models loaded, pixels to bytes and back. Commands: whole ones,
start, image files and models included; once for a single picture, once for the folder. A ratio says
how often this build could do it in the time that the other takes once.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Self

import torch

from benchmarks import output
from benchmarks.output import (
    add_options,
    check,
    dataset_of,
    images_of,
    paragraph,
    publish,
    table,
)
from sbtcodec.errors import SbtError

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("ratios_worker.py")
QUALITIES = (10, 50)
SINGLE = 30  # quality of the one picture that commands code

Times = dict[str, tuple[list[float], list[float]]]


def source_of(revision: str, folder: Path) -> Path:
    """The tree of a revision, written to a folder.

    Raises:
        SystemExit: git does not know it.
    """
    made = subprocess.run(
        ["git", "-C", ROOT, "archive", revision], check=False, capture_output=True
    )
    if made.returncode:
        raise SystemExit(f"{revision}: {made.stderr.decode().strip()}; expected a revision of git")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Build:
    """A tree of the package, and a process of it whose model is loaded."""

    def __init__(self, tree: Path, *options: str) -> None:
        """Start the process, with options of its own; `with` ends it."""
        self.environment = os.environ | {"PYTHONPATH": str(tree)}
        self.worker = subprocess.Popen(
            [sys.executable, str(WORKER), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=tree,
        )
        self.tree = tree
        self.model_id = self._line()

    def __enter__(self) -> Self:
        """The build itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End its process."""
        self.worker.kill()
        self.worker.wait()

    def _line(self) -> str:
        assert self.worker.stdout is not None
        line = self.worker.stdout.readline()
        if not line:
            raise SystemExit(f"the build in {self.tree} ended early; see its message above")
        return line.strip()

    def coded(self, what: str, path: Path | None, quality: int = 0) -> float:
        """Seconds of encoding a picture, or of decoding what was encoded last."""
        assert self.worker.stdin is not None
        told = json.dumps([what, None if path is None else str(path.resolve()), quality])
        self.worker.stdin.write(told + "\n")
        self.worker.stdin.flush()
        return float(self._line())

    def command(self, *words: str) -> float:
        """Seconds of a whole command."""
        start = time.perf_counter()
        command = [sys.executable, "-m", "sbtcodec", *words]
        # elsewhere than in a checkout, which Python would import from instead
        where = tempfile.gettempdir()
        done = subprocess.run(
            [*command, "--force"],
            check=False,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=where,
        )
        if done.returncode:
            raise SystemExit(f"{self.tree}: {' '.join(command)}: {done.stderr}")
        return time.perf_counter() - start


def in_turns(times: Times, name: str, measure: Callable[[int], float]) -> None:
    """Measure build 0 and build 1 once more; the one goes first that went last before."""
    both = times.setdefault(name, ([], []))
    for index in (0, 1) if len(both[0]) % 2 == 0 else (1, 0):
        both[index].append(measure(index))


def coding(builds: Sequence[Build], paths: Sequence[Path], repeat: int) -> Times:
    """Encoding and decoding with models loaded."""
    times: Times = {}
    for quality, path in product(QUALITIES, paths):

        def encode(index: int, path: Path = path, quality: int = quality) -> float:
            return builds[index].coded("encode", path, quality)

        def decode(index: int) -> float:
            return builds[index].coded("decode", None)

        unmeasured: Times = {}
        for turn in range(repeat + 1):
            found = times if turn else unmeasured
            in_turns(found, f"encode, quality {quality}", encode)
            in_turns(found, f"decode, quality {quality}", decode)
    return times


def commands(builds: Sequence[Build], paths: Sequence[Path], repeat: int, place: Path) -> Times:
    """Whole commands, for one picture and for all of them."""
    times: Times = {}
    folders = [place / str(index) for index in range(len(builds))]
    for folder in folders:
        pictures = folder / "pictures"
        pictures.mkdir(parents=True)
        for path in paths:
            (pictures / path.name).symlink_to(path.resolve())

    def single(words: str, source: str, target: str) -> Callable[[int], float]:
        return lambda i: builds[i].command(
            *words.split(), str(folders[i] / source), str(folders[i] / target)
        )

    def whole(words: str, source: str, target: str) -> Callable[[int], float]:
        return lambda i: builds[i].command(
            *words.split(), str(folders[i] / source), "--out-dir", str(folders[i] / target)
        )

    first = f"pictures/{paths[0].name}"
    unmeasured: Times = {}  # a first run, which fills the system's caches
    for turn in range(repeat + 1):
        found = times if turn else unmeasured
        in_turns(found, "compress one", single(f"compress -q {SINGLE}", first, "x.sbt"))
        in_turns(found, "decompress one", single("decompress", "x.sbt", "x.png"))
    for _, jobs in product(range(1 + repeat // 3), ("1", "2")):
        for command, source, target in (
            ("compress", "pictures", "coded"),
            ("decompress", "coded", "decoded"),
        ):
            name = f"{command} --jobs {jobs}"
            in_turns(times, f"{name}, a folder", whole(name, source, target))
    return times


def rows_of(times: Times) -> list[tuple[str, str, str, str]]:
    """What, seconds of this build and of the other one, and the ratio: medians."""
    rows = []
    for name, both in times.items():
        mine, other = map(statistics.median, both)
        ratios = statistics.median(o / m for m, o in zip(*both, strict=True))
        rows.append((name, f"{mine:.3f}", f"{other:.3f}", f"{ratios:.2f}"))
    return rows


def run(arguments: argparse.Namespace) -> None:
    """Measure, print and write the table.

    Raises:
        SbtError: there are no pictures, or the table cannot be written.
    """
    check(arguments.out, force=arguments.force)
    dataset = dataset_of(arguments.data_dir, arguments.limit)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        other = source_of(arguments.revision, scratch / "other")
        precision = () if arguments.precision is None else (arguments.precision,)
        builds = [
            stack.enter_context(Build(ROOT, *precision)),
            stack.enter_context(Build(other)),
        ]
        times: Times = {}
        if arguments.part != "commands":
            times |= coding(builds, dataset.paths, arguments.repeat)
        if arguments.part != "coding" and arguments.precision is None:
            times |= commands(builds, dataset.paths, arguments.repeat, scratch)
        names = [build.model_id for build in builds]
    place = f"{output.place()}, {torch.backends.cpu.get_cpu_capability()}"
    models = f"this build with {names[0]}, {arguments.revision} with {names[1]}"
    parts = (
        f"{images_of(dataset)}; {place}; {models}",
        table(("median", "seconds", arguments.revision[:12], "times as fast"), rows_of(times)),
        paragraph(
            "Both builds in turns. Encoding and decoding: one picture, pixels to bytes and back,"
            f" model loaded. Commands: from start to end, files included; one at quality {SINGLE},"
            " folders at the quality that a command has by itself."
        ),
    )
    publish("\n\n".join(parts), arguments.out, force=arguments.force)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="of git, to compare with")
    add_options(parser)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--part", choices=("all", "coding", "commands"), default="all")
    parser.add_argument("--precision", help="of this build's networks; then without commands")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
