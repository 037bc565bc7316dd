"""Output files that are either complete or not there; their content is left to the caller."""

import os
import secrets
from pathlib import Path

from sbtcodec.errors import OutputError


def check_output(path: Path, *, force: bool) -> None:
    """Fail early, before long work, if `write_atomically` would refuse this path.

    Raises `OutputError` if the file exists and `force` is False, if `path` is a folder or a device,
    or if its folder is missing or not writable.
    """
    _checked_target(path, force=force)


def check_separate(source: Path, output: Path) -> None:
    """Fail if the output would replace the input, by whatever name.

    Raises `OutputError`.
    """
    try:
        same = source.exists() and output.exists() and source.samefile(output)
    except (OSError, ValueError):  # told better by whoever opens them
        return
    if same:
        raise OutputError(f"{output} is the input itself; choose another name for the output")


def write_atomically(path: Path, data: bytes, *, force: bool) -> None:
    """Write `data` to `path` through a temporary file in the same folder, renamed at the end.

    Until the rename, a file that stood at `path` is untouched; whatever interrupts the writing,
    Ctrl-C included, leaves no temporary file. A link is followed: its target is replaced.

    Raises `OutputError` as `check_output` does, and when the system refuses, as on a full disk.
    """
    target = _checked_target(path, force=force)
    temporary = target.with_name(f".sbtcodec-{secrets.token_hex(8)}.tmp")
    try:
        # Not `tempfile`: its files are private, and the output should have the usual permissions.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(temporary, flags, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if not force:
            _checked_target(path, force=False)  # the file may have appeared since
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _checked_target(path: Path, *, force: bool) -> Path:
    """Return the file to write, links followed, or raise as `check_output` does."""
    try:
        target = Path(os.path.realpath(path))
        folder = target.parent
        if target.is_dir():
            raise OutputError(f"{path} is a folder, expected a file name; name a file inside it")
        if target.exists() and not target.is_file():
            # Renaming over /dev/null would remove the device.
            raise OutputError(f"{path} is not a regular file; choose another name")
        if target.exists() and not force:
            raise OutputError(f"{path} exists already; choose another name, or pass force=True")
        if not folder.is_dir():
            found = "is not a folder" if folder.exists() else "does not exist"
            raise OutputError(f"the folder {folder} {found}; create it, or choose another one")
    except (OSError, ValueError) as error:  # no permission to look, a name too long, a NUL in it
        raise OutputError(f"{path} cannot be written: {_reason(error)}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} is not writable; choose another one")
    return target


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error)
