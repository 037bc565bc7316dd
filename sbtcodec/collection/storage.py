"""Files and folders of any file system that fsspec knows: found, listed, and written whole.

An address is a local path or a URI such as `s3://bucket/photographs`. What a protocol needs beyond
fsspec (s3fs, gcsfs, ...) is the user's to install, and to configure as fsspec documents it.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sbtcodec.collection.extra import require
from sbtcodec.errors import ImageError, OutputError, SbtError
from sbtcodec.image.files import write_atomically

_PATTERN_SIGNS = frozenset("*?[")
# Formats that Pillow recognises but reads with another program, if at all.
_ONLY_RECOGNISED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


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
    def name(self) -> str:
        """The path if local, else the URI: the same for every run, whatever the working folder."""
        if self.is_local:
            return self.path
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
    """

    place: Place
    relative: str
    size: int


def find_place(address: str, error: type[SbtError]) -> Place:
    """Return the place of a path or URI, which need not exist.

    Raises `error` if its protocol is unknown or needs a package that is not installed, and
    `SbtError` without fsspec.
    """
    fsspec = require("fsspec")
    try:
        filesystem, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError, OSError) as reason:
        raise error(f"{address} cannot be reached: {reason}; check the address") from reason
    return Place(filesystem, path.rstrip("/") or "/", address.partition("::")[2])


def list_images(address: str) -> list[Found]:
    """List the images of a folder with its subfolders, of a pattern, or one image, by path.

    What a file is, is told by its extension, as Pillow knows them.

    Raises `ImageError` if there is nothing, or it cannot be listed.
    """
    place = find_place(address, ImageError)
    try:
        if _PATTERN_SIGNS & set(place.path):
            top = _fixed_part(place.path)
            infos = place.filesystem.glob(place.path, detail=True)
        elif place.filesystem.isdir(place.path):
            top = place.path
            infos = place.filesystem.find(place.path, detail=True)
        else:
            top = str(PurePosixPath(place.path).parent)
            infos = {place.path: place.filesystem.info(place.path)}
    except FileNotFoundError as error:
        raise ImageError(f"{address} does not exist; check the path") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"{address} cannot be listed: {reason}") from error
    suffixes = _image_suffixes()
    found = [
        Found(place.at(path), _relative(path, top), _size(info))
        for path, info in sorted(infos.items())
        if info.get("type") != "directory" and PurePosixPath(path).suffix.lower() in suffixes
    ]
    if not found:
        raise ImageError(f"{address} has no images, by their extensions; check the path")
    return found


def list_sizes(folder: Place) -> dict[str, int]:
    """Return the sizes in bytes of the files in a folder and its subfolders, by relative path.

    Raises `OutputError` if the folder is a file, or cannot be listed.
    """
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
    return {_relative(path, folder.path): _size(info) for path, info in infos.items()}


def write_whole(place: Place, data: bytes) -> None:
    """Write a file, making its folders; a file that is there is replaced.

    Locally through a temporary file that is renamed; elsewhere in one call, by which object stores
    keep the old file or the new one, whole. Other remote file systems may keep a part if they are
    interrupted.

    Raises `OutputError`.
    """
    try:
        if place.is_local:
            path = Path(place.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data, force=True)
        else:
            place.filesystem.makedirs(str(PurePosixPath(place.path).parent), exist_ok=True)
            place.filesystem.pipe_file(place.path, data)
    except SbtError:
        raise
    except Exception as error:
        raise OutputError(f"{place.name} cannot be written: {error}") from error


def remove_leftovers(folder: Place) -> None:
    """Remove temporary files of workers that were killed while they wrote; local folders only."""
    if folder.is_local:
        for path in _leftovers(Path(folder.path)):
            with suppress(OSError):
                path.unlink()


def _leftovers(folder: Path) -> Iterator[Path]:
    return folder.rglob(".sbtcodec-*.tmp")


def _image_suffixes() -> frozenset[str]:
    from PIL import Image

    known = Image.registered_extensions()
    readable = {e for e, f in known.items() if f in Image.OPEN and f not in _ONLY_RECOGNISED}
    return frozenset(readable - {".sbt"})


def _fixed_part(pattern: str) -> str:
    """The folder of a pattern, up to the first part that has a sign in it."""
    parts = PurePosixPath(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if _PATTERN_SIGNS & set(part))
    return str(PurePosixPath(*parts[:fixed]))


def _relative(path: str, top: str) -> str:
    return path.removeprefix(top.rstrip("/") if top != "." else "").lstrip("/")


def _size(info: dict[str, Any]) -> int:
    size = info.get("size")
    return -1 if size is None else int(size)
