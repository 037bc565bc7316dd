"""The Ray cluster of a run: joined or started, kept quiet, and divided among workers."""

import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from sbtcodec.collection.extra import require
from sbtcodec.errors import DeviceError, SbtError
from sbtcodec.runtime.cores import usable_cores

WORKER_BYTES = 2 * 2**30  # of memory, for the default number of workers
OBJECT_STORE_BYTES = 2**28  # of a Ray started here: only names and rows pass through it


@dataclass(frozen=True)
class Node:
    """A machine of the cluster: its processors, GPUs and memory in bytes."""

    cpus: int
    gpus: int
    memory: int


@dataclass(frozen=True)
class WorkerPool:
    """The workers of a run: how many, and what each has."""

    workers: int
    cpus: int
    device: str

    @property
    def threads(self) -> int:
        """How many threads a worker computes with: of several processors it leaves one to Ray.

        Threads that compute together wait for the slowest of them, at every layer of the networks;
        were each processor taken, all would wait whenever a process of Ray needs one.
        """
        return max(1, self.cpus - 1)

    @classmethod
    def of(cls, nodes: Sequence[Node], device: str, workers: int | None) -> "WorkerPool":
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
            raise DeviceError('the Ray cluster has no GPU; use device="cpu"')
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


@contextmanager
def cluster(address: str | None) -> Iterator[list[Node]]:
    """Join a Ray cluster, or start one; leave it at the end, unless it was joined before."""
    ray = require("ray")
    joined = ray.is_initialized()
    if not joined:
        options: dict[str, Any] = {"address": address}
        if address is None:
            options = {
                "address": "local",  # not one that the environment names
                "num_cpus": usable_cores(),
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
            }
        try:
            with _no_errors_shown():
                ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except Exception as error:
            if address is None:
                raise SbtError(f"Ray did not start: {line_of(error)}; work without Ray") from error
            raise SbtError(
                f"the Ray cluster at {address} cannot be joined: {line_of(error)};"
                " check the address, or start one on this machine"
            ) from error
    try:
        yield [_node(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    finally:
        if not joined:
            ray.shutdown()


@contextmanager
def only_from_this_thread() -> Iterator[None]:
    """Keep from standard output what threads of Ray print there, whatever it is told."""
    stream, owner = sys.stdout, threading.get_ident()

    class Stream:
        def write(self, text: str) -> int:
            return stream.write(text) if threading.get_ident() == owner else len(text)

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any attribute of a stream
            return getattr(stream, name)

    with redirect_stdout(Stream()):
        yield


def line_of(error: BaseException) -> str:
    """Return the last line of an error, where Ray says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


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


def _node(resources: dict[str, float]) -> Node:
    return Node(
        int(resources.get("CPU", 0)), int(resources.get("GPU", 0)), int(resources.get("memory", 0))
    )
