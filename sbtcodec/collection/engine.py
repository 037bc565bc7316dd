"""The engine of collections: Ray Data gives the images of a plan to workers, one codec each.

Images go to workers in small tasks. Of a worker that dies, by the hand of the system or with its
machine, Ray restarts the process and repeats the task, so that nothing is lost or recorded twice.
Tasks that kill every worker they come to are given up after a few attempts, and their images tried
once more, one by one; what still kills a worker is recorded as failed.
"""

import logging
import math
import secrets
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sbtcodec.collection.cluster import WorkerPool, cluster, line_of, only_from_this_thread
from sbtcodec.collection.extra import require
from sbtcodec.collection.files import remove_leftovers
from sbtcodec.collection.manifest import Entry, Manifest, to_entries
from sbtcodec.collection.plan import Item, Plan
from sbtcodec.collection.storage import Place
from sbtcodec.collection.worker import REFUSED, Encoder, Worker, WorkerConfig, to_rows
from sbtcodec.errors import SbtError

MAX_TASK_IMAGES = 16  # what a killed worker has to repeat at most
TASKS_PER_WORKER = 8  # at least, so that workers end at about the same time
TASKS_IN_FLIGHT = 2  # of a worker: the next one waits where it is needed, as Ray takes its time
TASK_ATTEMPTS = 3
LOST_EXIT_CODE = 1


def run(
    plan: Plan,
    report: Callable[[Entry], None],
    encoder: Encoder,
    *,
    address: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    max_pixels: int,
    weights: Path | None = None,
) -> None:
    """Do the work of a plan, recording every image in the manifest.

    Whatever ends it, Ctrl-C included, the manifest is whole and tells what was done.

    Args:
        plan: what to do.
        report: called with the row of each image, as it is finished.
        encoder: makes each file.
        address: of a Ray cluster; a Ray of this machine's processors is started without one.
        device: see `WorkerPool.of`.
        precision: see `Codec.load`; with "auto", every worker decides for its machine.
        workers: see `WorkerPool.of`.
        max_pixels: of an image.
        weights: folder with a manifest of models, instead of the installed one.

    Raises:
        SbtError: Ray is not installed, or cannot be reached.
        DeviceError: see `WorkerPool.of`.
        WeightsError: a worker has other weights than this machine.
        OutputError: the manifest cannot be written.
    """
    if not plan.items:
        with _recorder(plan, report) as record:
            for entry in plan.decided:
                record(entry)
        return
    mark = f"{secrets.token_hex(4)}-"
    with _tidied(plan.out, mark), only_from_this_thread(), cluster(address) as nodes:
        pool = WorkerPool.of(nodes, device, workers)
        roots = _roots(plan.items)
        config = WorkerConfig(
            roots,
            plan.out,
            plan.settings,
            encoder,
            pool.device,
            pool.threads,
            max_pixels,
            weights,
            mark,
            precision,
        )
        with _recorder(plan, report) as record:
            for entry in plan.decided:
                record(entry)
            _compress_all(plan.items, config, pool, record)


@contextmanager
def _tidied(out: Place, mark: str) -> Iterator[None]:
    """Remove what killed workers left, after the last of them has ended."""
    try:
        yield
    finally:
        remove_leftovers(out, mark)


@contextmanager
def _recorder(plan: Plan, report: Callable[[Entry], None]) -> Iterator[Callable[[Entry], None]]:
    """Record and report entries; the manifest is whole at the end, whatever brought it."""
    manifest = Manifest(plan.out, plan.settings, anew=plan.anew)

    def record(entry: Entry) -> None:
        manifest.add(entry)
        report(entry)

    try:
        yield record
    finally:
        manifest.close()


def images_per_task(images: int, workers: int) -> int:
    """Return how many images a worker gets at a time."""
    return min(math.ceil(images / (workers * TASKS_PER_WORKER)), MAX_TASK_IMAGES)


def _compress_all(
    items: Sequence[Item], config: WorkerConfig, pool: WorkerPool, record: Callable[[Entry], None]
) -> None:
    waiting = {item.source: item for item in items}
    for task_images in (images_per_task(len(items), pool.workers), 1):
        for entry in _compress(list(waiting.values()), task_images, config, pool):
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


def _compress(
    items: Sequence[Item], task_images: int, config: WorkerConfig, pool: WorkerPool
) -> Iterator[Entry]:
    """Have images compressed; yields rows as tasks end, none for tasks that were given up."""
    data = require("ray.data")
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = 0  # a worker that cannot start has a reason
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    # One alone is tried by itself: of what waits behind it the attempts would be counted as well.
    in_flight = TASKS_IN_FLIGHT if task_images > 1 else 1
    starts = range(0, len(items), task_images)
    tables = [to_rows(items[i : i + task_images], config.roots) for i in starts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the last two, which are to move in Ray 2.64
        rows = data.from_arrow(tables).map_batches(
            Worker,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(config,),
            compute=data.ActorPoolStrategy(
                size=pool.workers, max_tasks_in_flight_per_actor=in_flight
            ),
            num_cpus=pool.cpus,
            num_gpus=1 if pool.device == "cuda" else 0,
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
        raise SbtError(f"the Ray cluster failed: {line_of(error)}") from error


def _roots(items: Sequence[Item]) -> tuple[Place, ...]:
    """A place in each file system of the images."""
    places = {(id(item.place.filesystem), item.place.chain): item.place for item in items}
    return tuple(places.values())


def _error_of(entry: Entry) -> SbtError:
    """The reason of a worker that refused."""
    kinds = {kind.exit_code: kind for kind in SbtError.__subclasses__()}
    return kinds.get(entry.exit_code, SbtError)(entry.error)
