"""Start-up times of the commands, and the throughput of whole batches, from the command line.

python -m benchmarks.commands --data-dir FOLDER [--out FILE]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.output import add_options, check, dataset_of, heading, publish, table
from sbtcodec.codec.codec import Codec
from sbtcodec.container import describe

REPEAT = 7
HELPED = ("compress", "decompress", "info", "verify", "tokens", "compare", "demo", "bench", "train")


def seconds(*arguments: str) -> float:
    """How long a command takes, from its start to its end.

    Raises `subprocess.CalledProcessError` if it fails.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "sbtcodec", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def start_ups(image: Path) -> list[tuple[str, str, str]]:
    """Median and slowest run of commands that do next to nothing, after one that fills caches."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        file = f"{scratch}/a.sbt"
        seconds("compress", str(image), file)
        for words in (["--version"], ["--help"], *([c, "--help"] for c in HELPED), ["info", file]):
            seconds(*words)
            times = [seconds(*words) for _ in range(REPEAT)]
            name = "info FILE.sbt" if words[-1] == file else " ".join(words)
            rows.append((name, f"{statistics.median(times):.2f}", f"{max(times):.2f}"))
    return rows


def batches(folder: Path) -> list[tuple[str, str, str, str, str]]:
    """Compressing and decompressing a folder in one command, model loading included."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        packed, unpacked = f"{scratch}/packed", f"{scratch}/unpacked"
        for jobs in ("1", "2"):
            common = ("--jobs", jobs, "--quiet", "--force", "--out-dir")
            taken = {"compress": seconds("compress", str(folder), *common, packed)}
            taken["decompress"] = seconds("decompress", packed, *common, unpacked)
            files = [describe(path.read_bytes()) for path in Path(packed).glob("*.sbt")]
            pixels = sum(f.width * f.height for f in files) / 1e6
            for name, t in taken.items():
                rate = f"{pixels / t:.2f}"
                rows.append(
                    (f"{name} --jobs {jobs}", str(len(files)), f"{pixels:.1f}", f"{t:.1f}", rate)
                )
    return rows


def main() -> None:
    """Print and write the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    a = parser.parse_args()
    check(a.out, force=a.force)
    dataset = dataset_of(a.data_dir)
    first = dataset.paths[0]
    text = [
        heading(dataset, Codec.load("cpu")),
        table((f"start-up, {REPEAT} runs", "median s", "slowest s"), start_ups(first)),
        table(("a folder at once", "files", "MP", "seconds", "MP/s"), batches(a.data_dir)),
    ]
    publish("\n\n".join(text), a.out, force=a.force)


if __name__ == "__main__":
    main()
