"""Sets of test images: Kodak by name, found or downloaded once, or any folder of images."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sbtcodec.errors import DatasetError
from sbtcodec.evaluation.download import download, sha256_of
from sbtcodec.evaluation.kodak import KODAK_SHA256, KODAK_URL
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.image.listing import DATASET_SUFFIXES
from sbtcodec.image.opening import open_image

_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})


@dataclass(frozen=True)
class Dataset:
    """Images in a fixed order; each is read from disk when asked for."""

    name: str
    paths: tuple[Path, ...]

    @property
    def image_names(self) -> tuple[str, ...]:
        """File names without ending, or with it where two would otherwise be the same."""
        stems = tuple(path.stem for path in self.paths)
        return stems if len(set(stems)) == len(stems) else tuple(path.name for path in self.paths)

    def images(self) -> Iterator[tuple[str, Rgb]]:
        """Name and pixels, uint8 `[H, W, 3]`, of each image in turn.

        Raises:
            DatasetError: a file cannot be read as an 8-bit image.
        """
        for name, path in zip(self.image_names, self.paths, strict=True):
            yield name, load_image(path)

    def image(self, name: str) -> Rgb:
        """Pixels, uint8 `[H, W, 3]`, of the image of that name.

        Raises:
            DatasetError: there is none, or it cannot be read.
        """
        return load_image(self.path(name))

    def path(self, name: str) -> Path:
        """File of the image of that name.

        Raises:
            DatasetError: there is none.
        """
        names = self.image_names
        if name not in names:
            msg = f"the data set {self.name} has no image {name!r}; it has {', '.join(names)}"
            raise DatasetError(msg)
        return self.paths[names.index(name)]


def open_dataset(
    name: str, *, data_dir: Path | None = None, limit: int | None = None, url: str = KODAK_URL
) -> Dataset:
    """Find a data set, downloading Kodak if it is nowhere.

    `kodak` is taken from `data_dir` (or its folder `kodak`) if given, else from
    `$SBTCODEC_DATA/kodak` if that exists, else from the user's cache folder, into which the files
    that are missing are downloaded. Wherever they come from, their SHA-256 is checked, so that
    numbers called Kodak are about those pixels. Any other name is a folder of images: a path, or
    a folder in `data_dir` or in `$SBTCODEC_DATA`.

    Args:
        name: `kodak`, or a folder.
        data_dir: folder to look in.
        limit: take only the first so many images; only those are checked and downloaded.
        url: home of the Kodak files.

    Raises:
        DatasetError: not found, empty, damaged, or impossible to download.
    """
    if limit is not None and limit < 1:
        msg = f"a data set of {limit} images cannot be measured; limit takes 1 or more"
        raise DatasetError(msg)
    if name == "kodak":
        return Dataset(name, _kodak_paths(data_dir, list(KODAK_SHA256)[:limit], url))
    folder = _find_folder(name, data_dir)
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in DATASET_SUFFIXES)
    except OSError as error:
        msg = f"cannot read the folder {folder}: {error}"
        raise DatasetError(msg) from error
    if not paths:
        msg = f"no image in {folder}; looked for {', '.join(sorted(DATASET_SUFFIXES))}"
        raise DatasetError(msg)
    return Dataset(folder.resolve().name, tuple(paths[:limit]))


def load_image(path: Path) -> Rgb:
    """Pixels of an image file, uint8 `[H, W, 3]`; alpha is dropped, grey repeated.

    Raises:
        DatasetError: the file is missing, is not an image, or has more than 8 bits a sample.
    """
    try:
        with open_image(path) as image:
            if image.mode not in _EIGHT_BIT_MODES:
                msg = f"{path} has pixels of mode {image.mode}; the benchmark takes 8-bit images"
                raise DatasetError(msg)
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        msg = f"cannot read {path} as an image: {error}"
        raise DatasetError(msg) from error


def cache_dir() -> Path:
    """Folder for downloads: `$XDG_CACHE_HOME/sbtcodec`, else `~/.cache/sbtcodec`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sbtcodec"


def _kodak_paths(data_dir: Path | None, names: list[str], url: str) -> tuple[Path, ...]:
    if data_dir is not None:
        own = data_dir / names[0]
        return _checked_kodak(data_dir if own.is_file() else data_dir / "kodak", data_dir, names)
    environment = os.environ.get("SBTCODEC_DATA")
    if environment and (Path(environment) / "kodak").is_dir():
        folder = Path(environment) / "kodak"
        return _checked_kodak(folder, folder, names)
    folder = cache_dir() / "kodak"
    for name in names:
        download(f"{url}/{name}", folder / name, sha256=KODAK_SHA256[name])
    return tuple(folder / name for name in names)


def _checked_kodak(folder: Path, asked: Path, names: list[str]) -> tuple[Path, ...]:
    for name in names:
        path = folder / name
        if not path.is_file():
            msg = f"{asked} does not hold the Kodak images: {name} is missing"
            raise DatasetError(msg)
        if sha256_of(path) != KODAK_SHA256[name]:
            msg = (
                f"{path} is not the published Kodak file: its SHA-256 differs; to measure on these "
                f"files all the same, name the folder as the data set: {folder}"
            )
            raise DatasetError(msg)
    return tuple(folder / name for name in names)


def _find_folder(name: str, data_dir: Path | None) -> Path:
    environment = os.environ.get("SBTCODEC_DATA")
    parents = [Path(), data_dir, Path(environment) if environment else None]
    places = [parent / name for parent in parents if parent is not None]
    for place in places:
        if place.is_dir():
            return place
    msg = (
        f"no data set {name!r}: it is neither 'kodak' nor a folder "
        f"(looked at {', '.join(str(place) for place in places)})"
    )
    raise DatasetError(msg)
