"""The state of a training run on disk: safetensors, written whole or not at all.

A run continues from its checkpoint as if it had not stopped: weights, averaged weights, optimiser
moments, step count and time used are all kept, and crops and noise depend on the step number only.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sbtcodec.errors import WeightsError
from sbtcodec.models.config import ModelConfig
from sbtcodec.models.stored import ALONE, read_tensors
from sbtcodec.models.weights_file import in_natural_units
from sbtcodec.runtime import modes
from sbtcodec.runtime.tensor_files import save_tensors


def _optimiser_tensors(index: int, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments of every parameter, named `optimiser.INDEX.PARAMETER.MOMENT`."""
    tensors = {}
    for number, state in optimiser.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimiser.{index}.{number}.{key}"] = torch.as_tensor(value)
    return tensors


def save(
    path: Path,
    model: nn.Module,
    averaged: dict[str, Tensor],
    optimisers: list[torch.optim.Optimizer],
    progress: dict[str, Any],
) -> None:
    """Write a checkpoint beside `path`, then rename it into place.

    Args:
        path: the checkpoint file.
        model: its parameters and buffers are saved as `model.*`.
        averaged: the averaged weights, saved as `ema.*`.
        optimisers: in a fixed order.
        progress: JSON: step, seconds, configurations.
    """
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in averaged.items()}
    for i, optimiser in enumerate(optimisers):
        tensors |= _optimiser_tensors(i, optimiser)
    copies = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    temporary = path.with_suffix(".part")
    save_tensors(copies, temporary, {"progress": json.dumps(progress)})
    os.replace(temporary, path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the progress of a checkpoint.

    Raises:
        WeightsError: the file is missing, damaged, or not a checkpoint.
    """
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads((file.metadata() or {})["progress"])
            return {k: file.get_tensor(k) for k in file.keys()}, progress  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path} is not a checkpoint of `sbtcodec train`: {error}") from error


class Weights(NamedTuple):
    """Trained weights of a file.

    Attributes:
        config: the sizes.
        state: parameters by name, float32 in natural units.
        recipe: how they were trained; empty if the file does not say.
    """

    config: ModelConfig
    state: dict[str, Tensor]
    recipe: dict[str, Any]


def averaged(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Averaged parameters by name, among the tensors that `load` gives."""
    prefix = "ema."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def averaged_weights(tensors: dict[str, Tensor], progress: dict[str, Any]) -> Weights:
    """The averaged weights of a checkpoint, from what `load` gives."""
    state = averaged(tensors)
    return Weights(ModelConfig.from_json(progress["model"]), state, progress.get("config", {}))


@modes.construction()
def weights_of(path: Path) -> Weights:
    """Released weights, or the averaged weights of a checkpoint.

    Networks for pictures of global tokens alone are left out: once anything else has learned, they
    are for other tokens than there are.

    Raises:
        WeightsError: the file is neither.
    """
    try:
        config, stored, card = read_tensors(path)
    except WeightsError:
        return averaged_weights(*load(path))
    stored = {name: array for name, array in stored.items() if not name.startswith(ALONE)}
    return Weights(config.with_alone(None), in_natural_units(stored)[0], card.get("recipe", {}))


def between(first: Path, second: Path, share: float, path: Path) -> Path:
    """Make a checkpoint of weights between those of two runs, of which one went on from the other.

    What another loss gains in a few minutes costs less elsewhere, part of the way (Wortsman et al.,
    arXiv 2109.01903). It can be published, and a run can start from it; none can go on from it.

    Args:
        first: a checkpoint.
        second: another one of the same sizes, whose recipe is kept.
        share: 0 for the averaged weights of the first, 1 for those of the second.
        path: the checkpoint to write.

    Returns:
        `path`.

    Raises:
        WeightsError: a file is no checkpoint, or of other sizes.
    """
    (one, _), (other, progress) = load(first), load(second)
    names = [name for name in other if name.startswith("ema.")]
    if [(n, one[n].shape) for n in names if n in one] != [(n, other[n].shape) for n in names]:
        raise WeightsError(f"{first} and {second} are of other sizes; expected runs of one model")
    mixed = {n: torch.lerp(one[n].float(), other[n].float(), share) for n in names}
    save_tensors(mixed, path, {"progress": json.dumps(progress)})
    return path


def restore(
    tensors: dict[str, Tensor],
    model: nn.Module,
    averaged: dict[str, Tensor],
    optimisers: list[torch.optim.Optimizer],
) -> None:
    """Put the tensors of a checkpoint back, in place.

    Raises:
        WeightsError: the checkpoint was made with another architecture or optimiser.
    """
    try:
        model.load_state_dict(
            {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}, strict=True
        )
        for name, value in averaged.items():
            value.copy_(tensors[f"ema.{name}"])
        for i, optimiser in enumerate(optimisers):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"optimiser.{i}."):
                    number, moment = key.split(".")[2:]
                    state.setdefault(int(number), {})[moment] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})
    except (RuntimeError, KeyError, ValueError) as error:
        raise WeightsError(f"the checkpoint does not fit this configuration: {error}") from error
