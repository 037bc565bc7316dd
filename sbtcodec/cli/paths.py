"""Files named on the command line: default outputs and reading; the container tells the meaning."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sbtcodec.container import is_sbt
from sbtcodec.errors import InvalidFileError, ModelMismatchError

MAX_FILE_BYTES = 2**30  # above what the largest image needs


def default_output(source: Path, extension: str) -> Path:
    """Return the path of the source with another extension."""
    if not source.name:  # a folder such as "." or "/"; reading it fails with a good reason
        return Path(f"{source}{extension}")
    return source.with_suffix(extension)


def read_sbt(path: Path) -> bytes:
    """Return the bytes of a file; of one that does not start as an `.sbt`, only the first few.

    Raises `InvalidFileError` if it cannot be read, or is larger than any `.sbt`.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            # A film or a device given by mistake is not read through to learn what it is not.
            data = start + file.read(MAX_FILE_BYTES) if is_sbt(start) else start
    except FileNotFoundError as error:
        raise InvalidFileError(f"{path} does not exist; check the path") from error
    except IsADirectoryError as error:
        raise InvalidFileError(f"{path} is a folder, expected an .sbt file") from error
    except (OSError, ValueError) as error:  # no permission, a name too long, a NUL in it
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidFileError(f"{path} cannot be read: {reason}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InvalidFileError(f"{path} has over {MAX_FILE_BYTES} bytes; no .sbt file is as large")
    return data


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file before the errors of code that knows only its bytes."""
    try:
        yield
    except (InvalidFileError, ModelMismatchError) as error:
        raise type(error)(f"{path}: {error}") from error
