"""The engine of batches: files worked on in threads that share one codec, told as they finish.

One broken file does not stop the others. The workers load and save images themselves, so at most
`jobs` images are in memory. Ctrl-C lets the files at work finish; a second one drops them, never
while one is written. The main thread alone prints, and learns of everything through one queue.
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Literal, TypeAlias

import typer

from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.failures import INTERRUPTED_EXIT_CODE, explain
from sbtcodec.cli.common.operation import BatchOptions, Operation, Result, failure_fields, names_of
from sbtcodec.cli.common.paths import place_name
from sbtcodec.cli.common.report import Screen, tell, to_json
from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.cli.common.summary import Summary
from sbtcodec.errors import OutputError
from sbtcodec.runtime.cores import usable_cores

MAX_DEFAULT_JOBS = 4


@dataclass(frozen=True)
class _Finished:
    task: Task
    result: Result | BaseException


_Event: TypeAlias = _Finished | Literal["interrupt"]


def default_jobs() -> int:
    """Return the number of files at a time: a thread each is faster than many threads for one."""
    return min(usable_cores(), MAX_DEFAULT_JOBS)


def run_batch(
    tasks: Sequence[Task], operation: Operation, shared: SharedCodec, options: BatchOptions
) -> int:
    """Operation on all tasks, print results and a summary, and return the exit code.

    That is 0 if all went well, 130 if interrupted, the exit code of the failures if they have one
    in common, and 1 otherwise.

    Raises `SbtError` if the codec itself cannot be loaded.
    """
    from concurrent.futures import ThreadPoolExecutor

    jobs = min(options.jobs or default_jobs(), max(1, len(tasks)))
    waiting, at_work = deque(tasks), 0
    summary, start = Summary(options.leading_exit_code), time.perf_counter()
    events: SimpleQueue[_Event] = SimpleQueue()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="sbtcodec")
    sizes = {task: _size(task) for task in tasks}
    with (
        shared.shared_by(jobs),
        _interrupts(events),
        Screen(len(tasks), sum(sizes.values())) as screen,
    ):
        try:
            while waiting or at_work:
                while waiting and at_work < jobs:
                    task = waiting.popleft()
                    if options.skip_existing and task.problem is None and _exists(task):
                        summary.skipped += 1
                        _tell_skipped(task, screen, options)
                        screen.advance(sizes[task], 0)
                    else:
                        at_work += 1
                        pool.submit(
                            lambda task: events.put(_attempt(task, operation, shared)), task
                        )
                if not at_work:
                    break
                event = events.get()
                if event == "interrupt":
                    if summary.interrupted:
                        shared.close()
                        _leave(summary, screen, options, start)
                    waiting.clear()
                    summary.interrupted = True
                    screen.err(
                        f"sbtcodec: interrupted; {at_work} at work will be finished,"
                        " Ctrl-C again drops them"
                    )
                    continue
                at_work -= 1
                if shared.error is not None:  # no file can be worked on
                    raise shared.error
                _tell(event, summary, screen, options)
                pixels = event.result.pixels if isinstance(event.result, Result) else 0
                screen.advance(sizes[event.task], pixels)
        finally:
            pool.shutdown(cancel_futures=True)
    summary.seconds = time.perf_counter() - start
    summary.print(
        screen, json=options.json, quiet=options.quiet, listed=not options.failures_as_lines
    )
    return summary.exit_code


def run_one(task: Task, operation: Operation, shared: SharedCodec, options: BatchOptions) -> None:
    """Operation on one task, and print the result.

    Where the output is standard output, nothing else goes there: JSON goes to standard error. A
    failure is an object as well, before it is raised.

    Raises `SbtError`.
    """
    screen = Screen()
    if options.skip_existing and _exists(task):
        _tell_skipped(task, screen, options)
        return
    print_object = screen.err if task.output == "-" else screen.out
    try:
        result = operation(task, shared)
    except Exception as error:
        # wrong usage, of which typer tells in its own way, has no exit code of ours
        if options.json and not isinstance(error, typer.BadParameter):
            print_object(to_json(failure_fields(task, *explain(error))))
        raise
    for notice in result.notices:
        screen.warn(place_name(task.source), notice)
    if options.json:
        print_object(to_json(result.fields | {"state": "done"}))
    elif not options.quiet and task.output != "-":
        screen.out(result.line)


def _attempt(task: Task, operation: Operation, shared: SharedCodec) -> _Finished:
    try:
        if task.problem is not None:
            raise task.problem
        if isinstance(task.output, Path):
            _make_parents(task.output)
        return _Finished(task, operation(task, shared))
    except BaseException as error:  # noqa: BLE001 - a panic of the coder is no Exception
        return _Finished(task, error)


def _tell(finished: _Finished, summary: Summary, screen: Screen, options: BatchOptions) -> None:
    """Count and print what came of a file."""
    task, result = finished.task, finished.result
    if isinstance(result, Result):
        summary.add(result.before, result.after, result.coded, result.pixels)
        for notice in result.notices:
            screen.warn(place_name(task.source), notice)
        if options.json:
            screen.out(to_json(result.fields | {"state": "done"}))
        elif not options.quiet:
            screen.out(result.line)
        return
    sentence, exit_code = explain(result)
    summary.failures.append((sentence, exit_code))
    if options.json:
        screen.out(to_json(failure_fields(task, sentence, exit_code)))
    elif options.failures_as_lines:
        (screen.err if options.quiet else screen.out)(f"FAILED  {sentence}")


def _tell_skipped(task: Task, screen: Screen, options: BatchOptions) -> None:
    if options.json:
        screen.out(to_json(names_of(task) | {"state": "skipped"}))
    elif not options.quiet:
        screen.out(f"{task.output}  exists already, skipped")


def _leave(summary: Summary, screen: Screen, options: BatchOptions, start: float) -> None:
    """End the program without waiting for the workers, which may need long."""
    summary.seconds = time.perf_counter() - start
    summary.print(
        screen, json=options.json, quiet=options.quiet, listed=not options.failures_as_lines
    )
    screen.close()
    tell("interrupted")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(INTERRUPTED_EXIT_CODE)


@contextmanager
def _interrupts(events: SimpleQueue[_Event]) -> Iterator[None]:
    """Turn Ctrl-C into events, so that it cannot tear anything the main thread does."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, say, as in the background of a shell
        yield
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        events.put("interrupt")

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _size(task: Task) -> int:
    try:
        return task.source.stat().st_size if isinstance(task.source, Path) else 0
    except (OSError, ValueError):
        return 0


def _exists(task: Task) -> bool:
    return isinstance(task.output, Path) and os.path.isfile(task.output)


def _make_parents(output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {output.parent} cannot be made: {error.strerror}") from error
