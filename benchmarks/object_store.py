"""A large collection in an object store, with a worker and the whole run killed on the way.

    python -m benchmarks.object_store --data-dir FOLDER [--count 2000] [--workers 2] [--out TABLE]

puts small crops of the photographs in FOLDER into an S3 server on the loopback address, has Ray
compress them from there to there, and checks what is left against the files of one process. Needs
`sbtcodec[ray]`, s3fs and moto[server], and Linux, whose /proc names the workers.
"""

import argparse
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.output import add_options, check, dataset_of, heading, paragraph, publish, table
from sbtcodec.codec.codec import Codec
from sbtcodec.collection import manifest
from sbtcodec.collection.extra import require
from sbtcodec.collection.manifest import to_entries
from sbtcodec.collection.storage import find_place
from sbtcodec.errors import OutputError, SbtError
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.image.pixels import load_image

SIDES = (96, 161)  # of a crop in pixels: from, and below
SOURCE, OUT = "s3://pictures/in", "s3://pictures/out"
PATIENCE = 60.0  # seconds for a server to answer, or for killed processes to end
NOTE = """Both kills are SIGKILL. The first run loses a worker after a quarter of the images, and is
itself killed after half of them; the second is the same command, and so is the third. Rows that a
killed run had not written to the store yet (at most 500, or those of 20 seconds) are made again by
the next one. The reference is made by one process with one thread, as each worker has."""


@contextmanager
def s3_server() -> Iterator[None]:
    """An S3 server on the loopback address, told to this process and its children.

    Raises:
        SbtError: it does not start.
    """
    require("moto.server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError as error:
                if server.poll() is not None or time.monotonic() > end:
                    raise SbtError("the S3 server did not start") from error
                time.sleep(0.1)
        yield
    finally:
        server.kill()
        server.wait()


def crops(dataset: Dataset, count: int) -> dict[str, bytes]:
    """PNG files of crops of the images in turn, each of another size and place, by their names."""
    rng, made = np.random.default_rng(0), {}
    photographs = [load_image(path).rgb for path in dataset.paths]
    for i, rgb in enumerate(islice(cycle(photographs), count)):
        sides = [min(int(rng.integers(*SIDES)), length) for length in rgb.shape[:2]]
        top, left = (int(rng.integers(n - k + 1)) for n, k in zip(rgb.shape, sides, strict=False))
        file = io.BytesIO()
        Image.fromarray(rgb[top : top + sides[0], left : left + sides[1]]).save(file, "PNG")
        made[f"{i % 10}/{i:06}"] = file.getvalue()
    return made


def workers_below(pid: int) -> list[int]:
    """Processes of workers of Ray below a process."""
    parents, workers = {}, []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            process, rest = int(stat.parent.name), stat.read_text().rpartition(")")[2]
            name = (stat.parent / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        parents[process] = int(rest.split()[1])
        if name.startswith("ray::MapWorker"):
            workers.append(process)

    def is_below(process: int) -> bool:
        while process in parents and process != pid:
            process = parents[process]
        return process == pid

    return [process for process in workers if is_below(process)]


def run(workers: int, kill_worker: int = 0, kill_run: int = 0, *options: str) -> list[Any]:
    """Compress the collection; return what is printed of each image, and of the whole at last.

    Args:
        workers: how many.
        kill_worker: after so many images, if any.
        kill_run: the same for the whole command; then nothing is printed of the whole.
        options: of the command.

    Raises:
        SbtError: it failed, or what was killed has not ended.
    """
    command = ["compress", SOURCE, "--out", OUT, "--engine", "ray", "--jobs", str(workers)]
    printed: list[Any] = []
    killed: list[int] = []
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "sbtcodec", *command, "--device", "cpu", "--json", *options],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            printed.append(told.get("summary", told))
            if len(printed) == kill_worker:
                os.kill(workers_below(process.pid)[0], signal.SIGKILL)
            if len(printed) == kill_run:
                killed = workers_below(process.pid)
                process.kill()
                break
        process.stdout.close()
        if process.wait() and not kill_run:
            errors.seek(0)
            raise SbtError(f"exit code {process.returncode}: {errors.read()[-500:]}")
    end = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{worker}").exists() for worker in killed):
        if time.monotonic() > end:
            raise SbtError("workers go on after their run was killed")
        time.sleep(0.2)
    return printed


def expect(what: str, found: object, expected: object) -> list[str]:
    """The row of a check.

    Raises:
        SbtError: it did not come out as expected.
    """
    if found != expected:
        raise SbtError(f"{what}: {found}, expected {expected}")
    return [what, str(found)]


def checked(count: int, workers: int, reference: dict[str, bytes]) -> list[list[str]]:
    """The rows of all checks, of a store that holds the images alone.

    Raises:
        SbtError: a check failed.
    """
    out, fs = find_place(OUT, OutputError), require("fsspec").filesystem("s3")
    first = run(workers, max(1, count // 4), max(2, count // 2))
    recorded = manifest.read(out)[0].num_rows
    rows = [
        ["images told of when the run was killed", str(len(first))],
        expect("... each of them once", len({line["output"] for line in first}), len(first)),
        ["... and recorded in the store", str(recorded)],
    ]
    *images, whole = run(workers)
    rows.append(expect("second run: images skipped", whole["skipped"], recorded))
    rows.append(expect("second run: images done", whole["done"], count - recorded))
    rows.append(expect("... each of them once", len({i["output"] for i in images}), len(images)))
    entries = to_entries(manifest.read(out)[0])
    fs.invalidate_cache()
    files = {path: info["size"] for path, info in fs.find(out.path, detail=True).items()}
    names = {f"{out.path}/{entry.path}": entry.bytes for entry in entries}
    rows.append(expect("rows of the manifest", len(entries), count))
    rows.append(expect("... done", sum(entry.status == "done" for entry in entries), count))
    rows.append(expect("... with a source of their own", len({e.source for e in entries}), count))
    sizes = files.pop(f"{out.path}/{manifest.MANIFEST}", 0) > 0 and files == names
    rows.append(expect("the manifest, and the files in it with their sizes, are all", sizes, True))
    equal = sum(fs.cat_file(f"{out.path}/{n}.sbt") == data for n, data in reference.items())
    rows.append(expect("files equal to those of one process", equal, count))
    whole = run(workers)[-1]
    rows.append(expect("third run: images skipped", whole["skipped"], count))
    fs.rm(f"{out.path}/{manifest.MANIFEST}")
    whole = run(workers, 0, 0, "--skip-existing")[-1]
    rows.append(
        expect("without the manifest, --skip-existing: images skipped", whole["skipped"], count)
    )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--count", type=int, default=2000, help="number of images")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    check(arguments.out, force=arguments.force)
    versions = ", ".join(f"{name} {require(name).__version__}" for name in ("ray", "s3fs", "moto"))
    dataset = dataset_of(arguments.data_dir, arguments.limit)
    codec = Codec.load("cpu")
    images = crops(dataset, arguments.count)
    torch.set_num_threads(1)
    reference = {name: codec.compress(load_image(png).rgb) for name, png in images.items()}
    with s3_server():
        fs = require("fsspec").filesystem("s3")
        bucket = SOURCE.removeprefix("s3://")
        fs.mkdir(bucket.partition("/")[0])
        fs.pipe({f"{bucket}/{name}.png": data for name, data in images.items()})
        rows = checked(arguments.count, arguments.workers, reference)
    about = (
        f"{arguments.count} crops of {SIDES[0]} to {SIDES[1] - 1} pixels a side, PNG to .sbt in an"
        f" S3 server on the same machine, {arguments.workers} workers; {versions}"
    )
    parts = [
        heading(dataset, codec),
        paragraph(about),
        table(("check", "found"), rows),
        paragraph(NOTE),
    ]
    publish("\n\n".join(parts), arguments.out, force=arguments.force)


if __name__ == "__main__":
    try:
        main()
    except SbtError as error:
        sys.exit(f"{error}")
