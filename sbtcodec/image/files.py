"""Output files that are either complete or not there; their content is left to the caller.

Pipes and devices such as `/dev/null` are written to as they are: there is nothing to replace.
"""

import errno
import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from sbtcodec.errors import OutputError

PIPE_SECONDS = 5.0  # that the reader of a pipe may take to open it

_RIGHTS = 0o777
_GROUP_RIGHTS = 0o070


def check_output(path: Path, *, force: bool) -> None:
    """Fail early, before long work, if `write_atomically` would refuse this path.

    Raises `OutputError` if the file exists and `force` is False, if `path` is a folder, a terminal
    or a disk, or if its folder is missing or not writable.
    """
    _checked_target(path, force=force)


def check_separate(source: Path, output: Path) -> None:
    """Fail if the output would replace the input, by whatever name.

    Raises `OutputError`.
    """
    try:
        same = source.is_file() and output.exists() and source.samefile(output)
    except (OSError, ValueError):  # told better by whoever opens them
        return
    if same:
        raise OutputError(f"{output} is the input itself; choose another name for the output")


def write_atomically(path: Path, data: bytes, *, force: bool, mark: str = "") -> None:
    """Write `data` to `path` through a temporary file in the same folder.

    Until the last step, a file that stood at `path` is untouched; without `force` that step never
    replaces one, also if it appeared meanwhile. Whatever interrupts the writing, Ctrl-C included,
    leaves no temporary file. A link is followed: its target is replaced, and keeps who may read and
    write it. Names of temporary files begin as `temporary_pattern(mark)` says.

    Raises `OutputError` as `check_output` does, and when the system refuses, as on a full disk.
    """
    target, before = _checked_target(path, force=force)
    if before is not None and _is_stream(before):
        _write_stream(path, data)
        return
    temporary = target.with_name(f".sbtcodec-{mark}{secrets.token_hex(8)}.tmp")
    try:
        # Not `tempfile`: its files are private, and a new output should have the usual rights.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        rights = 0o666 if before is None else 0o600
        with os.fdopen(os.open(temporary, flags, rights), "wb") as file:
            if before is not None:
                _take_rights(file.fileno(), before)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            temporary.replace(target)
        else:
            _put_where_nothing_is(temporary, target)
    except FileExistsError as error:
        _remove(temporary)
        raise _exists_already(path) from error
    except OSError as error:
        _remove(temporary)
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from error
    except BaseException:
        _remove(temporary)
        raise


def temporary_pattern(mark: str) -> str:
    """Return the pattern of the names of temporary files that were written with this mark."""
    return f".sbtcodec-{mark}*.tmp"


def _put_where_nothing_is(temporary: Path, target: Path) -> None:
    """Give a file its name, unless another has it: then `FileExistsError`, and nothing is lost."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError, AttributeError):
        # FAT, some network file systems and sandboxes have no hard links: take the name first.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        try:
            temporary.replace(target)
        except BaseException:
            _remove(target)
            raise
    else:
        _remove(temporary)


def _take_rights(descriptor: int, before: os.stat_result) -> None:
    """Let those read and write a new file who could read and write the one that it replaces."""
    if not hasattr(os, "fchmod"):
        return
    rights = before.st_mode & _RIGHTS
    try:
        os.fchown(descriptor, -1, before.st_gid)
    except OSError:
        rights &= ~_GROUP_RIGHTS  # which were those of another group
    with suppress(OSError):  # file systems without rights
        os.fchmod(descriptor, rights)


def _checked_target(path: Path, *, force: bool) -> tuple[Path, os.stat_result | None]:
    """Return the file to write, links followed, and what is there; or raise as `check_output`."""
    try:
        found = _stat(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise OutputError(f"{path} is a folder, expected a file name; name a file inside it")
        if found is not None and _is_stream(found):
            if not force and _is_terminal(path, found):
                raise OutputError(
                    f"{path} is a terminal, expected a file or a pipe; name a file, or pass"
                    " force=True"
                )
            return path, found
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise OutputError(f"{path} is not a regular file; choose another name")
        if found is not None and not force:
            raise _exists_already(path)
        target = Path(os.path.realpath(path))
        folder = target.parent
        if not folder.is_dir():
            problem = "is not a folder" if folder.exists() else "does not exist"
            raise OutputError(f"the folder {folder} {problem}; create it, or choose another one")
    except (OSError, ValueError) as error:  # no permission to look, a name too long, a NUL in it
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} is not writable; choose another one")
    return target, found


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_stream(found: os.stat_result) -> bool:
    return stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode)


def _is_terminal(path: Path, found: os.stat_result) -> bool:
    if not stat.S_ISCHR(found.st_mode):
        return False
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def _write_stream(path: Path, data: bytes) -> None:
    """Write to a pipe or a device.

    Raises `OutputError`, also if nothing reads the pipe.
    """
    try:
        with os.fdopen(_opened_stream(path), "wb") as file:
            file.write(data)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OutputError(
                f"no program reads the pipe {path}; start the one that does first"
            ) from error
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from error


def _opened_stream(path: Path) -> int:
    """Open a stream without waiting for ever for a reader."""
    end = time.monotonic() + PIPE_SECONDS
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno != errno.ENXIO or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            os.set_blocking(descriptor, True)
            return descriptor


def _exists_already(path: Path) -> OutputError:
    return OutputError(f"{path} exists already; choose another name, or pass force=True")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error)
