"""Packs of photographs: files of a given size, to carry training data where there is no network.

    python -m benchmarks.pack PHOTOGRAPHS --out packs --packs 3 [--megabytes 38] [--side 1024]

writes packs/pack-1.safetensors and following. A pack holds photographs, reduced to a longest side,
as WebP files (or with --keep those that are there) end to end, with an index; no two packs hold the
same one. Which ones, and in which order, depends on their names alone: a seed shuffles them.
"""

import argparse
import io
import random
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sbtcodec.errors import DatasetError, SbtError
from sbtcodec.image.pixels import load_image
from sbtcodec.runtime.cores import usable_cores
from sbtcodec.training.data import photograph_paths

NAME = "pack-{}.safetensors"
MEGABYTE = 10**6
KEPT_QUALITY = 92  # of WebP, where files are kept as far as they can
ROOM = 4096  # bytes for the header of a file; its index is counted with the photographs


def encoded(path: Path, side: int, quality: int | None, smallest: int) -> bytes | None:
    """A photograph as WebP; None if it cannot be read or a side is then below `smallest`.

    Args:
        path: of the photograph.
        side: longest side in pixels, to which larger ones are reduced.
        quality: of WebP, 0 to 100; none leaves files as they are that need no reducing or turning,
            and gives the others KEPT_QUALITY.
        smallest: pixels.
    """
    if quality is None:
        kept = _as_it_is(path, side, smallest)
        if kept is not None:
            return kept
        quality = KEPT_QUALITY
    try:
        rgb = Image.fromarray(load_image(path).rgb)
    except SbtError:
        return None
    rgb.thumbnail((side, side), Image.Resampling.LANCZOS)
    if min(rgb.size) < smallest:
        return None
    out = io.BytesIO()
    rgb.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def _as_it_is(path: Path, side: int, smallest: int) -> bytes | None:
    """The file itself, if it is a JPEG or WebP that a pack can hold as it is."""
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            fits = min(image.size) >= smallest and max(image.size) <= side
            plain = image.mode == "RGB" and not turned and fits
    except (OSError, ValueError):
        return None
    return data if plain else None


def packed(photographs: Iterable[bytes], size: int, count: int) -> Iterator[list[bytes]]:
    """Photographs in lots that fit into files of `size` bytes; at most `count` lots.

    A photograph that no longer fits begins the next lot.
    """
    lot: list[bytes] = []
    room = size - ROOM
    for data in photographs:
        needed = len(data) + 8  # and an entry of the index
        if lot and needed > room:
            yield lot
            count -= 1
            if not count:
                return
            lot, room = [], size - ROOM
        if needed <= room:
            lot.append(data)
            room -= needed
    if lot:
        yield lot


def write_packs(
    folder: Path,
    out: Path,
    *,
    packs: int = 1,
    size: int = 38 * MEGABYTE,
    side: int = 1024,
    quality: int | None = 88,
    smallest: int = 256,
    seed: int = 0,
) -> list[Path]:
    """Write packs of the photographs below a folder.

    Args:
        folder: of photographs.
        out: folder of the packs, made if missing; packs of the same names are replaced.
        packs: how many at most; fewer if the photographs are used up.
        size: of a file, in bytes, at most.
        side: longest side of a photograph, in pixels.
        quality: of WebP, 0 to 100; none as in `encoded`.
        smallest: photographs with a shorter side than this are left out.
        seed: of the order; another seed chooses others.

    Returns:
        The packs, in order.

    Raises:
        DatasetError: there are no such photographs.
    """
    paths = photograph_paths(folder)
    random.Random(seed).shuffle(paths)
    out.mkdir(parents=True, exist_ok=True)
    written = []

    def made() -> Iterator[bytes]:
        # a few at a time, since the last ones needed are not known beforehand
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(paths), 32):
                few = paths[start : start + 32]
                for data in pool.map(lambda p: encoded(p, side, quality, smallest), few):
                    if data is not None:
                        yield data

    for number, lot in enumerate(packed(made(), size, packs), 1):
        ends = np.cumsum([0, *map(len, lot)], dtype=np.int64)
        path = out / NAME.format(number)
        tensors = {"bytes": np.frombuffer(b"".join(lot), np.uint8), "ends": ends}
        save_file(tensors, path)
        written.append(path)
    if not written:
        raise DatasetError(
            f"{folder} holds no photograph of at least {smallest} pixels a side that fits into"
            f" {size} bytes; take others, or smaller ones"
        )
    return written


def read_packs(paths: Sequence[Path], threads: int | None = None) -> list[NDArray[np.uint8]]:
    """The photographs of packs, uint8 [H, W, 3] each, in their order.

    Args:
        paths: of the packs.
        threads: that decode; one for each core if not given.

    Raises:
        DatasetError: a pack is missing or damaged.
    """
    files: list[bytes] = []
    for path in paths:
        try:
            with safe_open(path, "np") as pack:
                data, ends = pack.get_tensor("bytes"), pack.get_tensor("ends").tolist()
        except (OSError, SafetensorError) as error:
            raise DatasetError(f"{path} is not a pack of photographs: {error}") from error
        files += [data[start:end].tobytes() for start, end in pairwise(ends)]
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        return list(pool.map(_decoded, files))


def _decoded(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def main() -> None:
    """Write packs, and print what is in them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--packs", type=int, default=1)
    parser.add_argument("--megabytes", type=float, default=38)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--quality", type=int, default=88)
    parser.add_argument("--keep", action="store_true", help="files as they are, where they can be")
    parser.add_argument("--smallest", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    try:
        paths = write_packs(
            a.folder,
            a.out,
            packs=a.packs,
            size=int(a.megabytes * MEGABYTE),
            side=a.side,
            quality=None if a.keep else a.quality,
            smallest=a.smallest,
            seed=a.seed,
        )
        for path in paths:
            images = read_packs([path])
            pixels = sum(image.shape[0] * image.shape[1] for image in images)
            size = path.stat().st_size
            print(
                f"{path}: {size / MEGABYTE:.1f} MB, {len(images)} photographs, "
                f"{pixels / 1e6:.0f} megapixels, {8 * size / pixels:.2f} bits a pixel"
            )
    except SbtError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
