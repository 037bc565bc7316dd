"""The engine of collections: Ray Data gives the images of a plan to workers, one codec each.

Images go to workers in small tasks. Of a worker that dies, by the hand of the system or with its
machine, Ray restarts the process and repeats the task, so that nothing is lost or recorded twice.
Tasks that kill every worker they come to are given up after a few attempts, and their images tried
once more, one by one; what still kills a worker is recorded as failed.
"""

import logging
import math
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbtcodec.collection.extra import require
from sbtcodec.collection.manifest import Entry, Manifest, to_entries
from sbtcodec.collection.plan import Item, Plan
from sbtcodec.collection.storage import Place, remove_leftovers
from sbtcodec.collection.worker import REFUSED, Order, Worker, to_rows
from sbtcodec.errors import DeviceError, SbtError

MAX_TASK_IMAGES = 16  # what a killed worker has to repeat at most
TASKS_PER_WORKER = 8  # at least, so that workers end at about the same time
TASK_ATTEMPTS = 3
WORKER_BYTES = 2 * 2**30  # of memory, for the default number of workers
OBJECT_STORE_BYTES = 2**28  # of a Ray started here: only names and rows pass through it
LOST_EXIT_CODE = 1


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: its processors, GPUs and memory in bytes."""

    cpus: int
    gpus: int
    memory: int


@dataclass(frozen=True)
class Crew:
    """The workers of a run: how many, and what each has."""

    workers: int
    cpus: int
    device: str

    @classmethod
    def of(cls, nodes: Sequence[Node], device: str, workers: int | None) -> "Crew":
        """Divide machines among workers.

        Args:
            nodes: the machines.
            device: "cpu", "cuda" (a GPU for each worker) or "auto" (CUDA if there is a GPU).
            workers: one for each GPU if not given, or for each processor with 2 GiB of memory.

        Raises:
            DeviceError: there is no GPU, or the machines are too few for so many workers.
        """
        if device == "auto":
            device = "cuda" if any(node.gpus for node in nodes) else "cpu"
        gpu = device == "cuda"
        most = sum(min(node.cpus, node.gpus) if gpu else node.cpus for node in nodes)
        if gpu and not any(node.gpus for node in nodes):
            raise DeviceError("the Ray cluster has no GPU; use --device cpu")
        if workers is None:
            rooms = sum(min(node.cpus, node.memory // WORKER_BYTES) for node in nodes)
            workers = max(1, most if gpu else rooms)
        if workers > most:
            what = "processors with a GPU" if gpu else "processors"
            raise DeviceError(f"{workers} workers need as many {what}, the Ray cluster has {most}")
        cpus = 1
        while cls._fitting(nodes, cpus + 1, gpu=gpu) >= workers:
            cpus += 1
        return cls(workers, cpus, device)

    @staticmethod
    def _fitting(nodes: Sequence[Node], cpus: int, *, gpu: bool) -> int:
        counts = ((node.cpus // cpus, node.gpus) for node in nodes)
        return sum(min(pair) if gpu else pair[0] for pair in counts)


def run(
    plan: Plan,
    report: Callable[[Entry], None],
    *,
    address: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    max_pixels: int,
    weights: Path | None = None,
) -> None:
    """Do the work of a plan, recording every image in the manifest.

    Whatever ends it, Ctrl-C included, the manifest is whole and tells what was done.

    Args:
        plan: what to do.
        report: called with the row of each image, as it is finished.
        address: of a Ray cluster; a Ray of this machine's processors is started without one.
        device: see `Crew.of`.
        workers: see `Crew.of`.
        max_pixels: of an image.
        weights: folder with a manifest of models, instead of the installed one.

    Raises:
        SbtError: Ray is not installed, or cannot be reached.
        DeviceError: see `Crew.of`.
        WeightsError: a worker has other weights than this machine.
        OutputError: the manifest cannot be written.
    """
    manifest: Manifest | None = None
    try:
        with _only_from_this_thread(), _cluster(address) if plan.items else _nothing() as nodes:
            manifest = Manifest(plan.out, plan.settings, anew=plan.anew)

            def record(entry: Entry) -> None:
                manifest.add(entry)
                report(entry)

            for entry in plan.decided:
                record(entry)
            if plan.items:
                crew = Crew.of(nodes, device, workers)
                roots = _roots(plan.items)
                order = Order(
                    roots, plan.out, plan.settings, crew.device, crew.cpus, max_pixels, weights
                )
                _compress_all(plan.items, order, crew, record)
    finally:
        if manifest is not None:
            manifest.close()
            remove_leftovers(plan.out)


def images_per_task(images: int, workers: int) -> int:
    """Return how many images a worker gets at a time."""
    return min(math.ceil(images / (workers * TASKS_PER_WORKER)), MAX_TASK_IMAGES)


def _compress_all(
    items: Sequence[Item], order: Order, crew: Crew, record: Callable[[Entry], None]
) -> None:
    waiting = {item.source: item for item in items}
    for task_images in (images_per_task(len(items), crew.workers), 1):
        for entry in _compress(list(waiting.values()), task_images, order, crew):
            if waiting.pop(entry.source, None) is not None:
                record(entry)
        if not waiting:
            return
    for item in waiting.values():
        sentence = (
            f"{item.source}: the worker died at each of {TASK_ATTEMPTS} attempts, which a lack of"
            " memory would explain; try fewer workers"
        )
        record(item.failed(sentence, LOST_EXIT_CODE))


def _compress(items: Sequence[Item], task_images: int, order: Order, crew: Crew) -> Iterator[Entry]:
    """Have images compressed; yields rows as tasks end, none for tasks that were given up."""
    data = require("ray.data")
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = 0  # a worker that cannot start has a reason
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    starts = range(0, len(items), task_images)
    tables = [to_rows(items[i : i + task_images], order.roots) for i in starts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters that are to move, in Ray 2.64
        rows = data.from_arrow(tables).map_batches(
            Worker,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(order,),
            compute=data.ActorPoolStrategy(size=crew.workers, max_tasks_in_flight_per_actor=1),
            num_cpus=crew.cpus,
            num_gpus=1 if crew.device == "cuda" else 0,
            max_restarts=-1,
            max_task_retries=TASK_ATTEMPTS - 1,
        )
    try:
        for table in rows.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for entry in to_entries(table):
                if entry.status == REFUSED:
                    raise _error_of(entry)
                yield entry
    except require("ray.exceptions").RayError as error:
        raise SbtError(f"the Ray cluster failed: {_line(error)}") from error


@contextmanager
def _cluster(address: str | None) -> Iterator[list[Node]]:
    """Join a Ray cluster, or start one; leave it at the end, unless it was joined before."""
    ray = require("ray")
    joined = ray.is_initialized()
    if not joined:
        options: dict[str, Any] = {"address": address}
        if address is None:
            options = {
                "address": "local",  # not one that the environment names
                "num_cpus": _usable_cores(),
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
            }
        try:
            with _no_errors_shown():
                ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except Exception as error:
            if address is None:
                raise SbtError(f"Ray did not start: {_line(error)}; use --engine local") from error
            raise SbtError(
                f"the Ray cluster at {address} cannot be joined: {_line(error)};"
                " check the address, or give --engine ray for one on this machine"
            ) from error
    try:
        yield [_node(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    finally:
        if not joined:
            ray.shutdown()


@contextmanager
def _only_from_this_thread() -> Iterator[None]:
    """Keep from standard output what threads of Ray print there, whatever it is told."""
    stream, owner = sys.stdout, threading.get_ident()

    class Stream:
        def write(self, text: str) -> int:
            return stream.write(text) if threading.get_ident() == owner else len(text)

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any attribute of a stream
            return getattr(stream, name)

    with redirect_stdout(Stream()):
        yield


@contextmanager
def _no_errors_shown() -> Iterator[None]:
    """Drop what native code writes to standard error; what is wrong comes as an exception."""
    with open(os.devnull, "w") as nowhere:
        before = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)


@contextmanager
def _nothing() -> Iterator[list[Node]]:
    yield []


def _node(resources: dict[str, float]) -> Node:
    return Node(
        int(resources.get("CPU", 0)), int(resources.get("GPU", 0)), int(resources.get("memory", 0))
    )


def _roots(items: Sequence[Item]) -> tuple[Place, ...]:
    """A place in each file system of the images."""
    places = {(id(item.place.filesystem), item.place.chain): item.place for item in items}
    return tuple(places.values())


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _error_of(entry: Entry) -> SbtError:
    """The reason of a worker that refused."""
    kinds = {kind.exit_code: kind for kind in SbtError.__subclasses__()}
    return kinds.get(entry.exit_code, SbtError)(entry.error)


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
