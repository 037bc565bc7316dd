"""What a command does with one file, what comes of it, and how a batch of such work is told."""

from dataclasses import dataclass
from typing import Any, Protocol

from sbtcodec.cli.common.arguments import Task
from sbtcodec.cli.common.shared_codec import SharedCodec


@dataclass(frozen=True)
class Result:
    """What came of one file.

    Attributes:
        line: the result in one line, for people.
        fields: the same for machines.
        before: bytes of the input.
        after: bytes of the output, 0 if nothing is written.
        coded: bytes of the `.sbt` file, whichever of the two it is.
        pixels: of the image.
        notices: what the user should know, a sentence each.
    """

    line: str
    fields: dict[str, Any]
    before: int
    after: int
    coded: int
    pixels: int
    notices: tuple[str, ...] = ()


class Operation(Protocol):
    """What a command does with one file; called in several threads at once."""

    def __call__(self, task: Task, shared: SharedCodec) -> Result:
        """Do everything: check, read, compute, and write inside of `shared.writing()`.

        Raises `SbtError`.
        """
        ...


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is run and told.

    Attributes:
        jobs: files at a time; None for the default.
        force: outputs that exist are replaced.
        skip_existing: files whose output exists are left out.
        json: print objects, not lines.
        quiet: print warnings and errors alone.
        failures_as_lines: tell failures among the results, as they come; otherwise at the end.
        leading_exit_code: the exit code whenever a failure has it.
    """

    jobs: int | None = None
    force: bool = False
    skip_existing: bool = False
    json: bool = False
    quiet: bool = False
    failures_as_lines: bool = False
    leading_exit_code: int | None = None


def names_of(task: Task) -> dict[str, Any]:
    """What is told to machines of which file it is."""
    return {"input": task.source} | ({} if task.output is None else {"output": task.output})


def failure_fields(task: Task, sentence: str, exit_code: int) -> dict[str, Any]:
    """What is told to machines of a file that failed."""
    return names_of(task) | {"state": "failed", "error": sentence, "exit_code": exit_code}
