"""Which files the name of a folder, a pattern or a file stands for: one rule for all engines.

A file that is named is taken, whatever it is called. Folders give the files with a fitting
extension, and so do patterns that name no extension. Hidden files and folders, such as `.DS_Store`
or `._photo.jpg`, are left out, unless a pattern asks for them. Links to folders are followed, save
those that lead back to a folder they are in. Whatever exists under a name with the signs of a
pattern in it, such as `scan[1].png`, is that file.
"""

import glob
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeAlias, TypeVar

# Formats that Pillow needs another program for, only recognises, or opens without our limits.
_UNREAD = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
_READ_AS_ANOTHER = frozenset({"MPO"})  # a JPEG file with more behind it

DATASET_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"}
)
"""Extensions, in lower case, of the images that a folder gives to training and to measuring.

Not those of `image_suffixes`, which grow with Pillow and its plugins: a folder has to be the same
data set everywhere, or numbers about it do not compare; and icons, palettes and animations are no
photographs.
"""

_Identity: TypeAlias = tuple[int, int]
_P = TypeVar("_P", bound=PurePath)


@dataclass(frozen=True)
class Listed:
    """A file that a name stands for.

    Attributes:
        path: of the file.
        below: its path below the folder that was named, or the fixed part of the pattern.
        problem: why it cannot be worked on, if that is known already.
    """

    path: Path
    below: Path
    problem: str = ""


def image_suffixes() -> frozenset[str]:
    """Return the extensions, in lower case, of the images that can be read."""
    from PIL import Image

    known = Image.registered_extensions()  # which loads the plugins that fill `OPEN`
    readable = (Image.OPEN.keys() | _READ_AS_ANOTHER) - _UNREAD
    return frozenset(e for e, f in known.items() if f in readable and e != ".sbt")


def listed(
    argument: str, suffixes: Collection[str], *, recursive: bool, what: str = "images"
) -> Iterator[Listed]:
    """Yield the files that a name of this machine stands for, by name within each folder.

    Where there is none, the one that is yielded has the argument's path and the problem. `what`
    is what is looked for, in the plural.
    """
    path = Path(argument)
    if is_pattern(argument):
        yield from _matching(argument, suffixes, recursive=recursive, what=what)
    elif os.path.isdir(argument):
        yield from _inside(path, suffixes, recursive=recursive, what=what)
    elif not os.path.lexists(argument):
        yield Listed(path, path, f"{path} does not exist; check the path")
    else:
        yield Listed(path, Path(path.name))


def is_pattern(argument: str) -> bool:
    """Whether a name of this machine is a pattern, not that of something which exists."""
    return glob.has_magic(argument) and not os.path.lexists(argument)


def fixed_part(pattern: _P) -> _P:
    """Return the folder of a pattern, up to the first part that has a sign in it."""
    fixed = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    return type(pattern)(*pattern.parts[:fixed])


def names_extension(pattern: str) -> bool:
    """Whether a pattern says which extensions it is for."""
    return PurePosixPath(pattern).suffix not in ("", ".*")


def asks_for_hidden(pattern: str) -> bool:
    """Whether a pattern itself names hidden files or folders."""
    below = PurePosixPath(pattern).relative_to(fixed_part(PurePosixPath(pattern)))
    return is_hidden(below)


def is_hidden(below: PurePath) -> bool:
    """Whether a file is hidden, or in a hidden folder below the one that was named."""
    return any(part.startswith(".") and part != ".." for part in below.parts)


def leads_outside(below: PurePath) -> bool:
    """Whether a file of this relative path would not be below the folder of outputs."""
    return ".." in below.parts or below.is_absolute() or bool(below.drive)


def _matching(
    pattern: str, suffixes: Collection[str], *, recursive: bool, what: str
) -> Iterator[Listed]:
    path, found = Path(pattern), False
    root, every = fixed_part(path), names_extension(pattern)
    identities: dict[Path, tuple[_Identity, ...]] = {root: (_identity(root),)}
    for match in map(Path, sorted(glob.glob(pattern, recursive=True))):
        if match.is_dir():
            # A pattern that goes into subfolders names what is in them itself.
            if "**" not in path.parts:
                found = True
                yield from _inside(match, suffixes, recursive=recursive, what=what)
        elif (every or match.suffix.lower() in suffixes) and not _in_loop(match.parent, identities):
            found = True
            yield _checked(match, match.relative_to(root))
    if not found:
        yield Listed(path, path, f"{pattern} matches no file; check the pattern")


def _inside(
    folder: Path, suffixes: Collection[str], *, recursive: bool, what: str
) -> Iterator[Listed]:
    found, refused = False, list[OSError]()
    above: dict[str, tuple[_Identity, ...]] = {str(folder): (_identity(folder),)}
    for here, folders, names in os.walk(folder, onerror=refused.append, followlinks=True):
        entered = []
        for name in sorted(folders) if recursive else ():
            inner = os.path.join(here, name)
            identity = _identity(inner)
            if not name.startswith(".") and identity not in above[here]:
                above[inner] = (*above[here], identity)
                entered.append(name)
        folders[:] = entered
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix.lower() in suffixes and not name.startswith("."):
                found = True
                yield _checked(path, path.relative_to(folder))
    for error in refused:
        path = Path(str(error.filename))
        problem = f"the folder {path} cannot be read: {error.strerror}"
        yield Listed(path, path, problem)
    if not found and not refused:
        hint = "" if recursive else "; recursive=True takes those in subfolders"
        yield Listed(folder, folder, f"the folder {folder} holds no {what}{hint}")


def _checked(path: Path, below: Path) -> Listed:
    """A file of a folder or pattern, refused if it is a pipe, say, which may never end."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:  # a link that leads nowhere: told better by whoever opens it
        regular = True
    if regular:
        return Listed(path, below)
    return Listed(path, below, f"{path} is not a regular file; name it by itself if it is wanted")


def _in_loop(folder: Path, known: dict[Path, tuple[_Identity, ...]]) -> bool:
    """Whether a path goes through a folder twice, as patterns do that follow links."""
    if ".." in folder.parts:  # which goes back on purpose
        return False
    identities = _identities(folder, known)
    return len(set(identities)) < len(identities)


def _identities(folder: Path, known: dict[Path, tuple[_Identity, ...]]) -> tuple[_Identity, ...]:
    """Of a folder and those above it in its path."""
    if folder not in known:
        parent = folder.parent
        above = () if parent == folder else _identities(parent, known)
        known[folder] = (*above, _identity(folder))
    return known[folder]


def _identity(folder: str | Path) -> _Identity:
    try:
        found = os.stat(folder)
    except OSError:
        return (-1, -1)
    return found.st_dev, found.st_ino
