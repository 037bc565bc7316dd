"""Global and local tokens of many photographs, computed once and kept: what a predictor learns of.

Each photograph gives a few squares: the global tokens of a file of them alone, and the coarse local
tokens of the local encoder. Squares have 256 pixels, or 224 where a photograph's shorter side has
fewer than 256; none is enlarged, and photographs with fewer than 224 are left out. Local tokens are
kept in 8 bits, with a step and a mean for each channel; what that costs is measured and kept, too.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from tqdm import tqdm

from sbtcodec.errors import DatasetError
from sbtcodec.image.opening import open_image
from sbtcodec.models.release import Release
from sbtcodec.runtime.tensor_files import save_tensors
from sbtcodec.training.data import photograph_paths
from sbtcodec.training.local_tokens import Coding, coding_of, local_tokens

SIDES = (256, 224)  # pixels of a square, the first that a photograph has
BATCH = 8  # squares that are encoded together
CODED = 64  # photographs that the coding of local tokens is chosen on
CHANNELS = "channels.safetensors"


@dataclass(frozen=True)
class Squares:
    """The squares of one size: arrays of a file each, which are read where they are needed.

    Attributes:
        levels: uint8 [N, dims, H, W].
        y: int8 [N, 2H, 2W, coarse_channels], as `Coding` has them.
        photographs: int64 [N], which of the photographs each square is of.
        pixels: uint8 [N, 32H, 32W, 3], if they were asked for.
    """

    levels: NDArray[np.uint8]
    y: NDArray[np.int8]
    photographs: NDArray[np.int64]
    pixels: NDArray[np.uint8] | None


@dataclass(frozen=True)
class LocalData:
    """Tokens of squares.

    Attributes:
        squares: of each size that there is.
        coding: of the local tokens.
        photographs: how many there are.
    """

    squares: tuple[Squares, ...]
    coding: Coding
    photographs: int

    def __len__(self) -> int:
        """How many squares."""
        return sum(len(s.photographs) for s in self.squares)


def local_data(
    release: Release,
    kept: Path,
    *,
    folders: Sequence[Path],
    each: int = 4,
    pixels: bool = False,
    seed: int = 0,
    device: str = "cpu",
) -> LocalData:
    """Tokens of all photographs below folders; read if they were computed before.

    Args:
        release: the model whose tokens they are.
        kept: folder where they are kept, in one of their own: 44 kB a square, 240 kB with pixels.
        folders: of photographs; folders in them are looked into.
        each: squares of a photograph. The first is its middle, as large as it can be.
        pixels: keep the pixels, too.
        seed: of places, scales and mirroring.
        device: where to encode.

    Raises:
        DatasetError: a folder is missing, or holds no photograph that is large enough.
    """
    found = [path for folder in folders for path in photograph_paths(folder)]
    named = [[str(p), p.stat().st_size] for p in found]
    asked = json.dumps([release.sha256, each, pixels, seed, named])
    key = hashlib.sha256(asked.encode()).hexdigest()[:16]
    path = kept / f"local-{key}"
    if not path.is_dir():
        sources = _large_enough(found)
        if not sources:
            raise DatasetError(
                f"{', '.join(map(str, folders)) or 'no folder'} holds no photograph of at least"
                f" {SIDES[-1]}x{SIDES[-1]} pixels; give larger ones"
            )
        temporary = kept / f"local-{key}.part"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _compute(release, temporary, sources, each=each, pixels=pixels, seed=seed, device=device)
        os.replace(temporary, path)
    return _read(path)


def _large_enough(paths: Sequence[Path]) -> list[tuple[Path, int]]:
    """Photographs with the pixels of their squares."""
    sources = []
    for path in paths:
        with open_image(path) as image:
            shorter = min(image.size)
        side = next((s for s in SIDES if s <= shorter), 0)
        if side:
            sources.append((path, side))
    return sources


def _compute(
    release: Release,
    folder: Path,
    sources: Sequence[tuple[Path, int]],
    *,
    each: int,
    pixels: bool,
    seed: int,
    device: str,
) -> None:
    """Write the arrays of all squares into a folder, then what `Coding` has."""
    config = release.model.config.tokenizer
    some = sources[:: max(1, len(sources) // CODED)]
    middles = [(s, p) for _, s, p in _squares(some, 1, seed)]
    coding = coding_of(release, middles, device)
    arrays: dict[int, dict[str, NDArray[Any]]] = {}
    for side in SIDES:
        count, n = each * sum(s == side for _, s in sources), side // 32
        shapes: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
            "levels": (np.uint8, (len(config.levels), n, n)),
            "y": (np.int8, (2 * n, 2 * n, config.coarse_channels)),
            "photographs": (np.int64, ()),
        }
        if pixels:
            shapes["pixels"] = np.uint8, (side, side, 3)
        if count:
            arrays[side] = {
                name: np.lib.format.open_memmap(
                    folder / f"{name}-{side}.npy", mode="w+", dtype=dtype, shape=(count, *shape)
                )
                for name, (dtype, shape) in shapes.items()
            }
    waiting: dict[int, list[tuple[int, NDArray[np.uint8]]]] = {side: [] for side in arrays}
    written = dict.fromkeys(arrays, 0)

    def encode(side: int) -> None:
        group, into = waiting[side], arrays[side]
        if not group:
            return
        at = slice(written[side], written[side] + len(group))
        stacked = np.stack([p for _, p in group])
        levels, y = local_tokens(release, stacked, device)
        into["levels"][at], into["y"][at] = levels, coding.coded(y)
        into["photographs"][at] = [n for n, _ in group]
        if pixels:
            into["pixels"][at] = stacked
        written[side], waiting[side] = at.stop, []

    total = each * len(sources)
    with tqdm(total=total, unit="square", desc="computing tokens", disable=None) as bar:
        for number, side, made in _squares(sources, each, seed):
            waiting[side].append((number, made))
            if len(waiting[side]) == BATCH:
                encode(side)
            bar.update()
        for side in arrays:
            encode(side)
    for of_side in arrays.values():
        for array in of_side.values():
            assert isinstance(array, np.memmap)
            array.flush()
    about = {"model": release.model_id, "photographs": str(len(sources))}
    save_tensors(coding.tensors(), folder / CHANNELS, about)


def _read(folder: Path) -> LocalData:
    try:
        with safe_open(folder / CHANNELS, "pt") as file:
            coding = Coding(**{k: file.get_tensor(k) for k in file.keys()})  # noqa: SIM118
            photographs = int(file.metadata()["photographs"])
        squares = []
        for side in SIDES:
            arrays = {
                name: np.load(path, mmap_mode="r")
                for name in ("levels", "y", "photographs", "pixels")
                if (path := folder / f"{name}-{side}.npy").is_file()
            }
            if arrays:
                squares.append(Squares(**{"pixels": None} | arrays))
        return LocalData(tuple(squares), coding, photographs)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{folder} holds no local tokens ({error}); delete it, it is made anew"
        ) from error


def _squares(
    sources: Sequence[tuple[Path, int]], each: int, seed: int
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """(number of the photograph, side, pixels uint8 [side, side, 3]) of all squares."""
    for number, (path, side) in enumerate(sources):
        rng = np.random.default_rng((seed, number))
        with open_image(path) as image:
            rgb = image.convert("RGB")
        for i in range(each):
            yield number, side, square_of(rgb, side, rng if i else None)


def square_of(rgb: Image.Image, side: int, rng: np.random.Generator | None) -> NDArray[np.uint8]:
    """A square uint8 [side, side, 3] of a photograph: at random, or its middle without `rng`.

    The middle is as large as the photograph allows. Others are from anywhere, of `side` pixels up
    to that, and half of them mirrored. What has `side` pixels is not resampled.
    """
    shorter = min(rgb.size)
    source, share_x, share_y, mirrored = float(shorter), 0.5, 0.5, False
    if rng is not None:
        source = rng.uniform(side, shorter)
        share_x, share_y, mirrored = rng.random(), rng.random(), rng.random() < 0.5
    left, top = (rgb.width - source) * share_x, (rgb.height - source) * share_y
    if source == side:
        left, top = round(left), round(top)
    box = left, top, left + source, top + source
    made = np.asarray(rgb.resize((side, side), Image.Resampling.LANCZOS, box=box))
    return made[:, ::-1] if mirrored else made
