"""Averaged weights in half precision, in files of limited size, and a checkpoint again from them.

What the steps of a run ended with is a hundred megabytes of moments besides; only the averages are
worth a narrow way home.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sbtcodec.errors import WeightsError
from sbtcodec.runtime.tensor_files import save_tensors

LARGEST = 15 * 2**20  # bytes of tensors in a file; the limit of 16 MiB has room for the header
NAME = "averaged-{}.safetensors"


def split(
    averaged: dict[str, Tensor], progress: dict[str, Any], folder: Path, largest: int = LARGEST
) -> list[Path]:
    """Write averaged weights to `folder`/averaged-1.safetensors and following.

    Weights of the float networks become float16, as in a release. Those of the integer networks
    stay float32: a release rounds them otherwise.

    Args:
        averaged: float32, by name.
        progress: of the checkpoint: step, seconds, configurations.
        folder: where the files go; those of the same names are replaced.
        largest: bytes of tensors that a file may have.

    Returns:
        The files, in order.

    Raises:
        WeightsError: one tensor alone is larger than that.
    """
    files: list[dict[str, Tensor]] = [{}]
    room = largest
    for name, value in averaged.items():
        kind = torch.float16 if name.startswith("tokenizer.") else torch.float32
        tensor = value.detach().to("cpu", kind).contiguous()
        if tensor.nbytes > largest:
            raise WeightsError(
                f"{name} has {tensor.nbytes} bytes, expected at most {largest} in a file; allow"
                " larger files"
            )
        if tensor.nbytes > room:
            files.append({})
            room = largest
        files[-1][name] = tensor
        room -= tensor.nbytes
    paths = []
    for number, tensors in enumerate(files, 1):
        path = folder / NAME.format(number)
        said = {"progress": json.dumps(progress), "part": str(number), "parts": str(len(files))}
        save_tensors(tensors, path.with_suffix(".part"), said)
        path.with_suffix(".part").replace(path)
        paths.append(path)
    return paths


def join(folder: Path, path: Path) -> Path:
    """Make a checkpoint, of averaged weights alone, from the files that `split` wrote.

    It can be published, and another run can start from it; none can go on from it.

    Args:
        folder: of the files.
        path: the checkpoint to write.

    Returns:
        `path`.

    Raises:
        WeightsError: a file is missing, damaged, or of another run.
    """
    tensors: dict[str, Tensor] = {}
    said: dict[str, str] = {}
    number = parts = 1
    while number <= parts:
        part = folder / NAME.format(number)
        try:
            with safe_open(part, "pt") as file:
                metadata = file.metadata() or {}
                here = {k: metadata[k] for k in ("progress", "parts")}
                tensors |= {f"ema.{k}": file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError) as error:
            raise WeightsError(
                f"{part} is not part {number} of averaged weights: {error}; copy all files again"
            ) from error
        said = said or here
        parts = int(said["parts"])
        if here != said:
            raise WeightsError(
                f"{part} is of another run or moment than {NAME.format(1)}, expected all files of "
                "one; copy them again"
            )
        number += 1
    save_tensors(tensors, path, {"progress": said["progress"]})
    return path
