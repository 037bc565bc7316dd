"""Files and streams named on the command line: reading and writing them, default outputs.

A place is a path, or "-": standard input for reading, standard output for writing. A file of the
name "-" can still be given, as "./-". Other names of the two streams, such as `/dev/stdout`, mean
the same.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from sbtcodec.cli.common.report import tell
from sbtcodec.container import Header, check_pixels, is_sbt, unpack
from sbtcodec.errors import (
    ImageError,
    InvalidFileError,
    ModelMismatchError,
    OutputError,
    RateError,
)
from sbtcodec.image.files import check_output, check_separate, write_atomically
from sbtcodec.image.inputs import pipe_content
from sbtcodec.limits import MAX_FILE_BYTES

_INPUT_NAMES = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
_OUTPUT_NAMES = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})

Place: TypeAlias = Path | Literal["-"]


def place(argument: str) -> Place:
    """Return what the argument of an input names."""
    return "-" if argument in _INPUT_NAMES else Path(argument)


def output_place(argument: str) -> Place:
    """Return what the argument of an output names."""
    return "-" if argument in _OUTPUT_NAMES else Path(argument)


def place_name(source: Place) -> str:
    """Return the name of an input, for people."""
    return "standard input" if source == "-" else str(source)


def default_output(source: Path, extension: str, *, keep_extension: bool = False) -> Path:
    """Return the path of the source with another extension, or with one more."""
    if (
        not source.name or keep_extension
    ):  # a folder such as "." or "/"; reading it fails with a good reason
        return Path(f"{source}{extension}")
    return source.with_suffix(extension)


def read_sbt(source: Place) -> bytes:
    """Return the bytes of a file; of one that does not start as an `.sbt`, only the first few.

    Raises `InvalidFileError` if it cannot be read, or is larger than any `.sbt`.
    """
    name = place_name(source)
    try:
        if source == "-":
            data = _read_sbt(_standard_input())
        elif (content := pipe_content(source, InvalidFileError, tell)) is not None:
            data = _read_sbt(io.BytesIO(content))
        else:
            with source.open("rb") as file:
                data = _read_sbt(file)
    except FileNotFoundError as error:
        raise InvalidFileError(f"{name} does not exist; check the path") from error
    except IsADirectoryError as error:
        raise InvalidFileError(f"{name} is a folder, expected an .sbt file") from error
    except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidFileError(f"{name} cannot be read: {reason}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InvalidFileError(f"{name} has over {MAX_FILE_BYTES} bytes; no .sbt file is as large")
    return data


def read_checked(
    source: Place, max_pixels: int, *, allow_partial: bool = False
) -> tuple[bytes, Header]:
    """Return a file and its header, before torch and the weights are loaded for it.

    Raises `InvalidFileError` if it is damaged or cut, or declares more than `max_pixels`.
    """
    data = read_sbt(source)
    with naming(source):
        header = unpack(data, allow_partial=allow_partial).header
        check_pixels(header, max_pixels)
    return data, header


def image_input(source: Place) -> Path | bytes:
    """Return what an image is to be loaded from: its file, or what a stream gave.

    Raises `ImageError` if a stream cannot be read or does not end within a reasonable size.
    """
    if source == "-":
        return _read_image()
    content = pipe_content(source, ImageError, tell)
    return source if content is None else content


def _read_image() -> bytes:
    try:
        data = _standard_input().read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError(f"standard input cannot be read: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(
            f"standard input holds over {MAX_FILE_BYTES} bytes, expected one image;"
            " write it to a file first"
        )
    return data


def check_place(source: Place, output: Place, *, force: bool) -> None:
    """Fail early, before long work, if `write_place` would refuse the output.

    Raises `OutputError` also if the output is the input itself.
    """
    if output == "-":
        if sys.stdout.isatty() and not force:
            raise OutputError(
                "the output is a terminal, expected a file or a pipe; redirect it, name a file,"
                " or give --force"
            )
        return
    if source != "-":
        check_separate(source, output)
    check_output(output, force=force)


def write_place(output: Place, data: bytes, *, force: bool) -> None:
    """Write a file as `write_atomically` does, or standard output.

    Raises `OutputError`; `OSError` if standard output is closed or full.
    """
    if output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomically(output, data, force=force)


@contextmanager
def naming(source: Place) -> Iterator[None]:
    """Put the name of a file before the errors of code that knows only its bytes."""
    try:
        yield
    except (InvalidFileError, ModelMismatchError, ImageError, RateError) as error:
        raise type(error)(f"{place_name(source)}: {error}") from error


def _read_sbt(file: BinaryIO) -> bytes:
    start = file.read(16)
    # A film or a device given by mistake is not read through to learn what it is not.
    return start + file.read(MAX_FILE_BYTES) if is_sbt(start) else start


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise ValueError("it is closed")
    return sys.stdin.buffer
