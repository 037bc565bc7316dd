"""Global tokens of many photographs, computed once and kept: what the generator learns from.

Each photograph gives several squares of 256 pixels, from other places and of other scales, some
mirrored; each square gives the 8x8 tokens of a file of global tokens alone.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from sbtcodec.errors import DatasetError
from sbtcodec.image.opening import open_image
from sbtcodec.models.release import Release
from sbtcodec.runtime.batches import batches
from sbtcodec.runtime.precision import fast_bf16
from sbtcodec.runtime.tensor_files import save_tensors
from sbtcodec.tokenizer.config import STEPS_ALONE
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.training.data import photograph_paths

SIDE = 256  # pixels of a square, 8 tokens
LARGEST_SCALE = 1.25  # of photographs whose shorter side is enlarged to a square
BATCH = 8  # squares that are encoded together
NO_CLASS = -1


@dataclass(frozen=True)
class TokenData:
    """Tokens of squares.

    Attributes:
        levels: uint8 [N, 64, dims], tokens row by row.
        labels: int64 [N], numbers of classes, NO_CLASS for squares without one.
        classes: the names.
        photographs: int64 [N], which of the photographs each square is of.
    """

    levels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    photographs: Tensor


def class_folders(folder: Path) -> list[Path]:
    """The folders of a folder of classes, sorted by name.

    Raises:
        DatasetError: there is none.
    """
    folders = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if not folders:
        raise DatasetError(f"{folder} holds no folders; expected one for each class, named like it")
    return folders


def token_data(
    release: Release,
    kept: Path,
    *,
    classes: Path | None = None,
    plain: Path | None = None,
    each: tuple[int, int] = (8, 24),
    seed: int = 0,
    device: str = "cpu",
) -> TokenData:
    """Tokens of all photographs of folders; read if they were computed before.

    Args:
        release: the model whose tokens they are.
        kept: folder where they are kept.
        classes: folder with a folder of photographs for each class.
        plain: folder of photographs without a class.
        each: squares of a photograph with a class, and of one without. One square is that of the
            middle, as it is.
        seed: of places, scales and mirroring.
        device: where to encode.

    Raises:
        DatasetError: a folder is missing, or holds no photograph; or none was given.
    """
    folders = class_folders(classes) if classes else []
    sources = [(i, path) for i, f in enumerate(folders) for path in photograph_paths(f)]
    sources += [(NO_CLASS, path) for path in (photograph_paths(plain) if plain else [])]
    if not sources:
        raise DatasetError("there are no photographs; give a folder of classes, or one without")
    key = hashlib.sha256(
        json.dumps(
            [release.sha256, each, seed, [[n, str(p), p.stat().st_size] for n, p in sources]]
        ).encode()
    ).hexdigest()[:16]
    path = kept / f"tokens-{key}.safetensors"
    names = tuple(f.name for f in folders)
    if path.is_file():
        return _read(path, names)
    squares = _squares(sources, each, seed)
    total = sum(each[0] if label != NO_CLASS else each[1] for label, _ in sources)
    levels: list[Tensor] = []
    labels: list[int] = []
    photographs: list[int] = []
    with tqdm(total=total, unit="square", desc="computing tokens", disable=None) as bar:
        for group in batches(squares, BATCH):
            numbers, found, pixels = zip(*group, strict=True)
            levels.append(tokens_of_squares(release, np.stack(pixels), device))
            labels += found
            photographs += numbers
            bar.update(len(group))
    data = TokenData(torch.cat(levels), torch.tensor(labels), names, torch.tensor(photographs))
    kept.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    arrays = {"levels": data.levels, "labels": data.labels, "photographs": data.photographs}
    save_tensors(arrays, temporary, {"model": release.model_id})
    os.replace(temporary, path)
    return data


def _read(path: Path, classes: tuple[str, ...]) -> TokenData:
    try:
        with safe_open(path, "pt") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        return TokenData(arrays["levels"], arrays["labels"], classes, arrays["photographs"])
    except (OSError, SafetensorError, KeyError) as error:
        raise DatasetError(
            f"{path} holds no tokens ({error}); delete it, it is made anew"
        ) from error


@torch.inference_mode()
def tokens_of_squares(release: Release, squares: NDArray[np.uint8], device: str) -> Tensor:
    """Tokens uint8 [n, 64, dims] of squares uint8 [n, 256, 256, 3], as files of them alone."""
    tokenizer = release.model.tokenizer
    local_encoder, global_encoder = tokenizer.encoders
    x = torch.from_numpy(squares).to(device).permute(0, 3, 1, 2).float() / 255
    kind = torch.device(device).type
    with torch.autocast(kind, torch.bfloat16, enabled=fast_bf16(kind)):
        y = local_encoder(pixel_rows(x)).float()
        steps = torch.full((len(x),), STEPS_ALONE, device=device)
        chosen = tokenizer.fitted(y, global_encoder(y), steps)
    return chosen.levels.permute(0, 2, 3, 1).flatten(1, 2).to("cpu", torch.uint8)


def _squares(
    sources: Sequence[tuple[int, Path]], each: tuple[int, int], seed: int
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """(number of the photograph, label, pixels uint8 [256, 256, 3]) of all squares."""
    for number, (label, path) in enumerate(sources):
        rng = np.random.default_rng((seed, number))
        with open_image(path) as image:
            rgb = image.convert("RGB")
        for i in range(each[0] if label != NO_CLASS else each[1]):
            yield number, label, square(rgb, rng if i else None)


def square(rgb: Image.Image, rng: np.random.Generator | None) -> NDArray[np.uint8]:
    """A square uint8 [256, 256, 3] of a photograph: at random, or its middle without `rng`.

    The middle is as large as the photograph allows. Others are from anywhere, of a side between
    that and 1 / LARGEST_SCALE of it (or 256 pixels, if that is less), and half of them mirrored.
    """
    shorter = min(rgb.size)
    side, share_x, share_y, mirrored = float(shorter), 0.5, 0.5, False
    if rng is not None:
        side = rng.uniform(min(shorter / LARGEST_SCALE, SIDE), shorter)
        share_x, share_y, mirrored = rng.random(), rng.random(), rng.random() < 0.5
    left, top = (rgb.width - side) * share_x, (rgb.height - side) * share_y
    box = left, top, left + side, top + side
    made = np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box))
    return made[:, ::-1] if mirrored else made
