"""Files of any file system, read and written as a whole."""

from contextlib import suppress
from pathlib import Path, PurePosixPath

from sbtcodec.collection.storage import Place
from sbtcodec.errors import ImageError, OutputError, SbtError
from sbtcodec.image.files import temporary_pattern, write_atomically


def read_whole(place: Place) -> bytes:
    """Return the content of a file.

    Raises `ImageError`.
    """
    try:
        return bytes(place.filesystem.cat_file(place.path))
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(f"{place.name} cannot be read: {reason}") from error


def write_whole(place: Place, data: bytes, mark: str = "", *, make_folder: bool = True) -> None:
    """Write a file, and its folders unless they are known to be there; replace one that is there.

    Locally through a temporary file that is renamed; elsewhere in one call, by which object stores
    keep the old file or the new one, whole. Other remote file systems may keep a part if they are
    interrupted.

    Raises `OutputError`.
    """
    try:
        if place.is_local:
            path = Path(place.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data, force=True, mark=mark)
        else:
            if make_folder:
                place.filesystem.makedirs(str(PurePosixPath(place.path).parent), exist_ok=True)
            place.filesystem.pipe_file(place.path, data)
    except SbtError:
        raise
    except Exception as error:
        raise OutputError(f"{place.name} cannot be written: {error}") from error


def remove_leftovers(folder: Place, mark: str) -> None:
    """Remove temporary files of workers that were killed while they wrote; local folders only.

    Those of other runs, whose marks are others, may still be written.
    """
    if folder.is_local:
        for path in Path(folder.path).rglob(temporary_pattern(mark)):
            with suppress(OSError):
                path.unlink()
