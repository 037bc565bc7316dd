"""What the arguments of a command mean: one file and its output, or a batch of files.

A batch is meant by an output folder, by a folder or a pattern among the arguments, and by more than
two arguments; then every argument is an input.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sbtcodec.cli.common.outputs import check_folder, means_folder, named_output, usage_error
from sbtcodec.cli.common.paths import Place, default_output, output_place, place
from sbtcodec.errors import ImageError, InvalidFileError, OutputError, SbtError
from sbtcodec.image.listing import image_suffixes, is_pattern, leads_outside, listed


@dataclass(frozen=True)
class Task:
    """One file to work on.

    Attributes:
        source: what to read.
        output: what to write; None if nothing is written.
        below: where the source stands below the folder or pattern that named it.
        problem: why the source cannot be worked on, if that is known already.
    """

    source: Place
    output: Place | None
    below: Path | None = None
    problem: SbtError | None = None


@dataclass(frozen=True)
class Kind:
    """What a command takes and makes.

    Attributes:
        inputs: the name of what it takes, in the plural.
        suffixes: gives the extensions, in lower case, of what is taken from folders.
        unreadable: the error of an input that is not there.
        extension: of outputs; empty if nothing is written.
    """

    inputs: str
    suffixes: Callable[[], frozenset[str]]
    unreadable: type[SbtError]
    extension: str


def sbt_suffixes() -> frozenset[str]:
    """Return the extensions of `.sbt` files."""
    return frozenset({".sbt"})


def images_to(extension: str) -> Kind:
    """Return the kind of commands that read images."""
    return Kind("images", image_suffixes, ImageError, extension)


def sbt_files_to(extension: str) -> Kind:
    """Return the kind of commands that read `.sbt` files; nothing is written without extension."""
    return Kind(".sbt files", sbt_suffixes, InvalidFileError, extension)


def arrange(
    arguments: Sequence[str],
    output: str | None,
    out_dir: Path | None,
    kind: Kind,
    *,
    recursive: bool,
    keep_extension: bool = False,
    force: bool = False,
) -> Task | list[Task]:
    """Return the task of a command for one file, or the tasks of a batch.

    Raises:
        typer.BadParameter: the arguments contradict each other, or are not clear.
        OutputError: `out_dir` cannot be made.
    """
    first_is_folder = os.path.isdir(arguments[0])
    several = len(arguments) > 2 or first_is_folder or any(map(is_pattern, arguments))
    if output is not None:
        if out_dir is not None or several or len(arguments) > 1:
            raise usage_error(
                "it names the output of one input; give --out-dir alone for several",
                param_hint="--output",
            )
        source = place(arguments[0])
        target = named_output(output, source, kind.extension, keep_extension=keep_extension)
        _check_extension(target, kind, force=force)
        return Task(source, target)
    if out_dir is None and not several:
        task = _pair(arguments, kind, keep_extension=keep_extension)
        if len(arguments) == 2:
            _check_extension(task.output, kind, force=force)
        return task
    if len(arguments) == 2 and out_dir is None and first_is_folder and not _exists(arguments[1]):
        raise usage_error(
            f"{arguments[1]} does not exist; to write into a folder, give --out-dir {arguments[1]}"
        )
    if "-" in arguments:
        raise usage_error("- is one file; it cannot be part of a batch")
    tasks = expand(arguments, kind, out_dir, recursive=recursive, keep_extension=keep_extension)
    if out_dir is not None:
        _make_folder(out_dir)
    return tasks


def expand(
    arguments: Sequence[str],
    kind: Kind,
    out_dir: Path | None = None,
    *,
    recursive: bool,
    keep_extension: bool = False,
) -> list[Task]:
    """Return a task for every file that is named, is in a folder, or matches a pattern.

    What is named and not there gives a task with a problem; see `listed` for what folders and
    patterns give. Outputs stand beside their inputs, or below `out_dir` as the inputs stand below
    the folder or the fixed part of the pattern. Of files with the same output the first has it, the
    others are given a problem.
    """
    tasks: dict[tuple[str, Place | None], Task] = {}
    for argument in arguments:
        for source, below, problem in _sources(argument, kind, recursive=recursive):
            output: Place | None = None
            if kind.extension and problem is None:
                beside = source if out_dir is None else out_dir / below
                output = default_output(beside, kind.extension, keep_extension=keep_extension)
                if out_dir is not None and leads_outside(below):
                    problem = OutputError(
                        f"{source}: its output {output} would not be below {out_dir};"
                        " name the file or its folder without .."
                    )
            key = (os.path.realpath(source), output)
            tasks.setdefault(key, Task(source, output, below, problem))
    return _without_collisions(list(tasks.values()))


def _check_extension(output: Place | None, kind: Kind, *, force: bool) -> None:
    """Refuse to give an `.sbt` file the name of an image, which programs would fail to read."""
    if force or not isinstance(output, Path) or kind.extension != ".sbt":
        return
    suffix = output.suffix.lower()
    if suffix not in ("", ".sbt") and suffix in kind.suffixes():
        raise usage_error(
            f"{output} has the extension of an image, and what is written is an .sbt file; name it"
            f" {output.with_suffix('.sbt').name}, or give --force"
        )


def _pair(arguments: Sequence[str], kind: Kind, *, keep_extension: bool) -> Task:
    """One input, and the output if it is named."""
    source = place(arguments[0])
    if len(arguments) == 1:
        if source == "-":
            return Task(source, "-")
        return Task(source, default_output(source, kind.extension, keep_extension=keep_extension))
    if means_folder(arguments[1]):
        check_folder(arguments[1])
    output = output_place(arguments[1])
    if (
        output != "-"
        and output.suffix.lower() != kind.extension
        and output.suffix.lower() in kind.suffixes()
        and os.path.isfile(output)
        and not (os.path.exists(source) and os.path.samefile(source, output))
    ):
        # Two files that a shell made of *.png: the second is no output, and --force would lose it.
        raise usage_error(
            f"{output} exists and is one of the {kind.inputs} itself: to work on both, give"
            f" --out-dir; to write there, give --output {output}"
        )
    return Task(source, output)


def _sources(
    argument: str, kind: Kind, *, recursive: bool
) -> Iterator[tuple[Path, Path, SbtError | None]]:
    """Yield files, where each stands below what was named, and what is wrong with it."""
    for file in listed(argument, kind.suffixes(), recursive=recursive, what=kind.inputs):
        problem = kind.unreadable(file.problem) if file.problem else None
        yield file.path, file.below, problem


def _exists(argument: str) -> bool:
    return os.path.lexists(argument)


def _without_collisions(tasks: list[Task]) -> list[Task]:
    """Give a problem to tasks whose output is that of another, or one of the inputs."""
    inputs = {_identity(task.source) for task in tasks if task.output is not None}
    taken: dict[str, Task] = {}
    checked = []
    for task in tasks:
        problem = task.problem
        if problem is None and isinstance(task.output, Path):
            identity = _identity(task.output)
            other = taken.setdefault(identity, task)
            if other is not task:
                problem = OutputError(
                    f"{other.source} and {task.source} would both be written to {task.output};"
                    " rename one, write them into two folders, or give --keep-extension"
                )
            elif identity in inputs and identity != _identity(task.source):
                problem = OutputError(
                    f"{task.source}: its output {task.output} is one of the inputs itself;"
                    " rename one, or give --out-dir"
                )
        checked.append(replace(task, problem=problem))
    return checked


def _identity(place: Place) -> str:
    return os.path.normcase(os.path.realpath(place))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} is not writable; choose another one")
