"""Files and folders of any file system that fsspec knows: found and listed.

An address is a local path or a URI such as `s3://bucket/photographs`. What a protocol needs beyond
fsspec (s3fs, gcsfs, ...) is the user's to install, and to configure as fsspec documents it.
"""

import os
import stat
from dataclasses import dataclass
from glob import has_magic
from pathlib import PurePosixPath
from typing import Any

from sbtcodec.collection.extra import require
from sbtcodec.collection.names import to_text
from sbtcodec.collection.version import version_of
from sbtcodec.errors import ImageError, OutputError, SbtError
from sbtcodec.image.listing import (
    asks_for_hidden,
    fixed_part,
    image_suffixes,
    is_hidden,
    listed,
    names_extension,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder: an fsspec file system, which can be sent to workers, and a path in it.

    Attributes:
        filesystem: an `fsspec.AbstractFileSystem`.
        path: without protocol, no slash at the end.
        chain: what follows the first `::` of a chained URI, such as `zip://*.png::photos.zip`.
    """

    filesystem: Any
    path: str
    chain: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is in the file system of this machine."""
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self.filesystem, LocalFileSystem)

    @property
    def takes_several_calls(self) -> bool:
        """Whether it serves several threads: this machine's, or one with a loop of its own.

        Object stores have such a loop; of other file systems fsspec promises nothing.
        """
        return self.is_local or bool(self.filesystem.async_impl)

    @property
    def name(self) -> str:
        """The path if local, else the URI, as text: the same for every run; see `names`."""
        if self.is_local:
            return to_text(self.path)
        uri = str(self.filesystem.unstrip_protocol(self.path))
        return f"{uri}::{self.chain}" if self.chain else uri

    def at(self, path: str) -> "Place":
        """Another path in the same file system."""
        return Place(self.filesystem, path, self.chain)

    def below(self, relative: str) -> "Place":
        """A path relative to this folder."""
        return self.at(f"{self.path.rstrip('/')}/{relative}")


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a listing found.

    Attributes:
        place: where it is.
        relative: its path below the folder that was listed, with slashes.
        size: in bytes; -1 if the file system does not tell.
        version: what changes with the content, see `version_of`.
        modified: when the file was, in seconds since 1970; None for files of other machines.
        problem: why it cannot be read, if that is known already.
    """

    place: Place
    relative: str
    size: int
    version: str | None = None
    modified: float | None = None
    problem: str = ""


def find_place(address: str, error: type[SbtError]) -> Place:
    """Return the place of a path or URI, which need not exist.

    Raises `error` if its protocol is unknown or needs a package that is not installed, and
    `SbtError` without fsspec.
    """
    fsspec = require("fsspec")
    if "://" not in address and ("::" not in address or os.path.lexists(address)):
        filesystem = fsspec.filesystem("file")  # asked for by name: no sign has a meaning here
        return Place(filesystem, filesystem._strip_protocol(os.path.abspath(address)))
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError, OSError) as reason:
        raise error(f"{address} cannot be reached: {reason}; check the address") from reason
    return Place(filesystem, path.rstrip("/") or "/", address.partition("::")[2])


def list_images(address: str) -> list[Found]:
    """List the images of a folder with its subfolders, of a pattern, or one file, by path.

    What is taken is said by `sbtcodec.image.listing`, on this machine and elsewhere.

    Raises `ImageError` if there is nothing, or it cannot be listed.
    """
    place = find_place(address, ImageError)
    found = _of_this_machine(place) if place.is_local else _elsewhere(place, address)
    if not found:
        raise ImageError(f"{address} has no images, by their extensions; check the path")
    return sorted(found, key=lambda image: image.place.path)


def _of_this_machine(place: Place) -> list[Found]:
    """Images that a path or pattern of this machine stands for."""
    files = list(listed(place.path, image_suffixes(), recursive=True))
    if len(files) == 1 and files[0].problem and files[0].below == files[0].path:
        raise ImageError(files[0].problem)
    found = []
    for file in files:
        problem, size, version, modified = file.problem, -1, None, None
        try:
            status = file.path.stat()
        except OSError as error:
            problem = problem or f"{file.path} cannot be read: {error.strerror}"
        else:
            size, modified = status.st_size, status.st_mtime
            version = f"mtime:{status.st_mtime_ns}"
            if not stat.S_ISREG(status.st_mode):
                problem = problem or f"{file.path} is not a regular file, expected an image file"
        here, below = place.at(str(file.path)), file.below.as_posix()
        found.append(Found(here, below, size, version, modified, problem))
    return found


def _elsewhere(place: Place, address: str) -> list[Found]:
    """Images that a URI stands for."""
    filesystem, suffixes = place.filesystem, image_suffixes()
    every = hidden = False
    try:
        if has_magic(place.path) and not filesystem.exists(place.path):
            top = str(fixed_part(PurePosixPath(place.path)))
            every, hidden = names_extension(place.path), asks_for_hidden(place.path)
            infos = filesystem.glob(place.path, detail=True)
        elif filesystem.isdir(place.path):
            top = place.path
            infos = filesystem.find(place.path, detail=True)
        else:
            top = str(PurePosixPath(place.path).parent)
            every = hidden = True
            infos = {place.path: filesystem.info(place.path)}
    except FileNotFoundError as error:
        raise ImageError(f"{address} does not exist; check the path") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"{address} cannot be listed: {reason}") from error
    found = []
    for path, info in infos.items():
        below = PurePosixPath(_relative(path, top))
        fitting = every or below.suffix.lower() in suffixes
        if info.get("type") != "directory" and fitting and (hidden or not is_hidden(below)):
            found.append(Found(place.at(path), str(below), _size(info), version_of(info)))
    return found


def list_sizes(folder: Place) -> dict[str, int]:
    """Return the sizes in bytes of the files in a folder and its subfolders, by relative path.

    Raises `OutputError` if the folder is a file, or cannot be listed.
    """
    return {path: _size(info) for path, info in _infos(folder).items()}


def list_outputs(folder: Place) -> dict[str, tuple[int, float | None]]:
    """Return what `list_sizes` does, and when each file was modified if this machine has it.

    Raises `OutputError` as `list_sizes` does.
    """
    local = folder.is_local
    return {
        path: (_size(info), info.get("mtime") if local else None)
        for path, info in _infos(folder).items()
    }


def _infos(folder: Place) -> dict[str, dict[str, Any]]:
    """What the file system says of the files in a folder and its subfolders, by relative path."""
    folder.filesystem.invalidate_cache()
    try:
        if folder.filesystem.isfile(folder.path):
            raise OutputError(f"{folder.name} is a file, expected a folder; choose another name")
        infos = folder.filesystem.find(folder.path, detail=True)
    except FileNotFoundError:
        return {}
    except OutputError:
        raise
    except Exception as error:
        raise OutputError(f"{folder.name} cannot be listed: {error}") from error
    return {_relative(path, folder.path): info for path, info in infos.items()}


def _relative(path: str, top: str) -> str:
    return path.removeprefix(top.rstrip("/") if top != "." else "").lstrip("/")


def _size(info: dict[str, Any]) -> int:
    size = info.get("size")
    return -1 if size is None else int(size)
