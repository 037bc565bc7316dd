"""What the arguments of a command mean: one file and its output, or a batch of files.

A batch is meant by an output folder, by a folder or a pattern among the arguments, and by more than
two arguments; then every argument is an input.
"""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from sbtcodec.cli.paths import Place, default_output, output_place, place
from sbtcodec.errors import ImageError, InvalidFileError, OutputError, SbtError

# Formats that Pillow needs another program for, only recognises, or opens without our limits.
_UNREAD = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})


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


def image_suffixes() -> frozenset[str]:
    """Return the extensions of the images that can be read."""
    from PIL import Image

    known = Image.registered_extensions()
    readable = {e for e, f in known.items() if f in Image.OPEN and f not in _UNREAD}
    return frozenset(readable - sbt_suffixes())


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
) -> Task | list[Task]:
    """Return the task of a command for one file, or the tasks of a batch.

    Raises:
        typer.BadParameter: the arguments contradict each other, or are not clear.
        OutputError: two outputs of a batch would be the same file, or `out_dir` cannot be made.
    """
    first_is_folder = os.path.isdir(arguments[0])
    several = len(arguments) > 2 or first_is_folder or any(map(_is_pattern, arguments))
    if output is not None:
        if out_dir is not None or several or len(arguments) > 1:
            raise typer.BadParameter(
                "it names the output of one input; give --out-dir alone for several",
                param_hint="--output",
            )
        return Task(place(arguments[0]), output_place(output))
    if out_dir is None and not several:
        return _pair(arguments, kind)
    if len(arguments) == 2 and out_dir is None and first_is_folder and not _exists(arguments[1]):
        raise typer.BadParameter(
            f"{arguments[1]} does not exist; to write into a folder, give --out-dir {arguments[1]}"
        )
    if "-" in arguments:
        raise typer.BadParameter("- is one file; it cannot be part of a batch")
    tasks = expand(arguments, kind, out_dir, recursive=recursive)
    _check_collisions(tasks)
    if out_dir is not None:
        _make_folder(out_dir)
    return tasks


def expand(
    arguments: Sequence[str], kind: Kind, out_dir: Path | None = None, *, recursive: bool
) -> list[Task]:
    """Return a task for every file that is named, is in a folder, or matches a pattern.

    What is named and not there gives a task with a problem. Folders give the files with a fitting
    extension, in order of their names, hidden ones left out. Outputs stand beside their inputs, or
    below `out_dir` as the inputs stand below the folder or the fixed part of the pattern.
    """
    tasks: dict[tuple[str, Place | None], Task] = {}
    for argument in arguments:
        for source, below, problem in _sources(argument, kind, recursive=recursive):
            output: Place | None = None
            if kind.extension and problem is None:
                output = default_output(
                    source if out_dir is None else out_dir / below, kind.extension
                )
            key = (os.path.abspath(source), output)
            tasks.setdefault(key, Task(source, output, below, problem))
    return list(tasks.values())


def _pair(arguments: Sequence[str], kind: Kind) -> Task:
    """One input, and the output if it is named."""
    source = place(arguments[0])
    if len(arguments) == 1:
        return Task(source, "-" if source == "-" else default_output(source, kind.extension))
    output = output_place(arguments[1])
    if (
        output != "-"
        and output.suffix.lower() != kind.extension
        and output.suffix.lower() in kind.suffixes()
        and os.path.isfile(output)
        and not (os.path.exists(source) and os.path.samefile(source, output))
    ):
        # Two files that a shell made of *.png: the second is no output, and --force would lose it.
        raise typer.BadParameter(
            f"{output} exists and is one of the {kind.inputs} itself: to work on both, give"
            f" --out-dir; to write there, give --output {output}"
        )
    return Task(source, output)


def _sources(
    argument: str, kind: Kind, *, recursive: bool
) -> Iterator[tuple[Path, Path, SbtError | None]]:
    """Yield files, where each stands below what was named, and what is wrong with it."""
    path = Path(argument)
    if _is_pattern(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            problem = f"{argument} matches no file; check the pattern"
            yield path, path, kind.unreadable(problem)
        root = _fixed_part(path)
        for match in map(Path, matches):
            if match.is_dir():
                # A pattern that goes into subfolders names what is in them itself.
                if "**" not in path.parts:
                    yield from _inside(match, kind, recursive=recursive)
            else:
                yield match, match.relative_to(root), None
    elif os.path.isdir(argument):
        yield from _inside(path, kind, recursive=recursive)
    elif not _exists(argument):
        yield path, path, kind.unreadable(f"{path} does not exist; check the path")
    else:
        yield path, Path(path.name), None


def _inside(
    folder: Path, kind: Kind, *, recursive: bool
) -> Iterator[tuple[Path, Path, SbtError | None]]:
    suffixes, found = kind.suffixes(), 0
    refused: list[OSError] = []
    for here, folders, names in os.walk(folder, onerror=refused.append):
        folders[:] = sorted(f for f in folders if recursive and not f.startswith("."))
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix.lower() in suffixes and not name.startswith("."):
                found += 1
                yield path, path.relative_to(folder), None
    for error in refused:
        path = Path(str(error.filename))
        yield path, path, kind.unreadable(f"the folder {path} cannot be read: {error.strerror}")
    if not found and not refused:
        hint = "" if recursive else "; --recursive takes those in subfolders"
        yield folder, folder, kind.unreadable(f"the folder {folder} holds no {kind.inputs}{hint}")


def _is_pattern(argument: str) -> bool:
    return glob.has_magic(argument) and not _exists(argument)


def _exists(argument: str) -> bool:
    return os.path.lexists(argument)


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before its first wildcard."""
    fixed = Path()
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _check_collisions(tasks: list[Task]) -> None:
    taken: dict[str, Task] = {}
    for task in tasks:
        if not isinstance(task.output, Path):
            continue
        other = taken.setdefault(os.path.normcase(os.path.abspath(task.output)), task)
        if other is not task:
            raise OutputError(
                f"{other.source} and {task.source} would both be written to {task.output};"
                " rename one, or write them into two folders"
            )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} is not writable; choose another one")
