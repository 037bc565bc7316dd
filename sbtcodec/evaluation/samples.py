"""Features of the pictures of a folder, computed in parts that are kept: a stopped run goes on.

A part is `PART` pictures. Its file is named after all that its features depend on: the network, how
pictures are prepared, and the names, sizes and times of the pictures' files. What has changed gets
another name, so that nothing has to be told out of date, and of a folder that grows only the new
parts are computed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
from safetensors import numpy as tensors
from tqdm import tqdm

from sbtcodec.errors import DatasetError, OutputError
from sbtcodec.evaluation.feature_networks import (
    FeatureNetwork,
    Features,
    PictureFeatures,
    Sizes,
    computed,
)
from sbtcodec.evaluation.preparation import Preparation
from sbtcodec.generation.config import SHEET
from sbtcodec.image.files import write_atomically
from sbtcodec.image.listing import DATASET_SUFFIXES, listed

PART = 128
"""Pictures of a part: what a stopped run loses at most, for each process."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """The features of a folder's pictures, in the order of their paths.

    Attributes:
        folder: of the pictures.
        features: float32 [n, d].
        sizes: int64 [n, 2], width and height of each as it was found.
    """

    folder: Path
    features: Features
    sizes: Sizes


@dataclass(frozen=True)
class _Part:
    """Pictures, and the file that keeps their features."""

    paths: tuple[Path, ...]
    kept: Path


def pictures_in(folder: Path, limit: int | None = None) -> tuple[Path, ...]:
    """Paths of the pictures in a folder and its subfolders: `.sbt` files and images.

    Of what `sbtcodec sample` wrote, each picture counts once: an image stands for the `.sbt` file
    of its name beside it, as it shows one of its looks, and the sheet of all is left out.

    Args:
        folder: where to look; hidden files are left out, see `listed`.
        limit: take only the first so many.

    Raises:
        DatasetError: it is no folder, or holds no picture.
    """
    if limit is not None and limit < 1:
        raise DatasetError(f"a set of {limit} pictures cannot be compared; limit takes 1 or more")
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder, expected one of pictures; check the path")
    found = list(listed(str(folder), DATASET_SUFFIXES | {".sbt"}, recursive=True, what="pictures"))
    for file in found:
        if file.problem:
            raise DatasetError(file.problem)
    paths = [file.path for file in found]
    tokens = [path for path in paths if path.suffix.lower() == ".sbt"]
    images = {path.with_suffix("") for path in paths if path.suffix.lower() != ".sbt"}
    twice = {path for path in tokens if path.with_suffix("") in images}
    twice |= {path.with_name(SHEET) for path in tokens}
    return tuple(path for path in paths if path not in twice)[:limit]


def sampled(
    folder: Path,
    network: FeatureNetwork,
    preparation: Preparation,
    *,
    cache_folder: Path | None = None,
    jobs: int = 1,
    limit: int | None = None,
) -> Sampled:
    """Features of the pictures in a folder, those kept by earlier runs not computed again.

    Args:
        folder: its pictures, see `pictures_in`.
        network: gives the features.
        preparation: how each file becomes the pixels that the network sees.
        cache_folder: where parts are kept, made if missing; `FOLDER.features` beside the folder if
            not given. It can be deleted at any time.
        jobs: processes that compute parts, each with a network of its own.
        limit: only the first so many pictures.

    Raises:
        DatasetError: the folder holds no pictures, or one of them cannot be read: it is named.
        OutputError: parts cannot be kept.
        SbtError: of other kinds, for the network and the codec.
    """
    paths = pictures_in(folder, limit)
    where = cache_folder or _beside(folder)
    try:
        where.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"the folder {where} for features cannot be made ({error.strerror}); "
            "name another one as cache_folder"
        ) from error
    parts = [
        _part(folder, paths[i : i + PART], where, network, preparation)
        for i in range(0, len(paths), PART)
    ]
    done = {part: found for part in parts if (found := _kept(part)) is not None}
    missing = [part for part in parts if part not in done]
    with tqdm(total=len(paths), desc=folder.name, unit="picture", disable=None) as bar:
        bar.update(sum(len(part.paths) for part in done))
        work = [part.paths for part in missing]
        with computed(work, network, preparation, jobs) as results:
            for index, found in results:
                part = missing[index]
                write_atomically(part.kept, tensors.save(found.tensors()), force=True)
                done[part] = found
                bar.update(len(part.paths))
    return Sampled(
        folder,
        np.concatenate([done[part].features for part in parts]),
        np.concatenate([done[part].sizes for part in parts]),
    )


def _beside(folder: Path) -> Path:
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}.features")


def _part(
    folder: Path,
    paths: Sequence[Path],
    where: Path,
    network: FeatureNetwork,
    preparation: Preparation,
) -> _Part:
    files = []
    for path in paths:
        try:
            found = path.stat()
        except OSError as error:
            raise DatasetError(f"cannot read {path}: {error.strerror}") from error
        # The time as well: pictures sampled anew can have the names and the sizes of the old ones.
        name = path.relative_to(folder).as_posix()
        files.append((name, found.st_size, found.st_mtime_ns))
    content = json.dumps([network.key, preparation.key(paths), files])
    digest = hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()
    return _Part(tuple(paths), where / f"{digest[:32]}.safetensors")


def _kept(part: _Part) -> PictureFeatures | None:
    """What an earlier run kept of a part; None if that is nothing, or damaged."""
    try:
        found = tensors.load(part.kept.read_bytes())
    except (OSError, safetensors.SafetensorError):
        return None
    if not {"features", "sizes"} <= found.keys():
        return None
    kept = PictureFeatures(found["features"], found["sizes"])
    return kept if len(kept.features) == len(kept.sizes) == len(part.paths) else None
