"""A weights file: tensors as they are stored, sizes and card; read and written.

Integer tensors are stored as integers. The names of tensors are those that `docs/format.md` fixes;
parameters have the same ones in the code, and `tables.hats` are its anchor weights.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sbtcodec.entropy.integer_net import IntegerNet
from sbtcodec.entropy.units import SUM_ONE, WEIGHT_ONE
from sbtcodec.image.files import write_atomically
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.config import ModelConfig
from sbtcodec.models.digest import Array
from sbtcodec.models.stored import read_tensors
from sbtcodec.runtime import modes


@modes.construction()
def read_state(path: Path) -> tuple[ModelConfig, dict[str, Tensor], dict[str, Tensor]]:
    """Configuration, parameters in natural units (float32), and integer tables of a weights file.

    Raises:
        WeightsError: the file is not one of released weights.
    """
    config, stored, _ = read_tensors(path)
    return config, *in_natural_units(stored)


def in_natural_units(stored: dict[str, Array]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters in natural units, float32, and the tables beside them."""
    state, tables = {}, {}
    for key, array in stored.items():
        value = torch.from_numpy(array)
        if key.startswith("tables."):
            tables[key.removeprefix("tables.")] = value
        elif key == "scales.magnitudes":
            state[key] = value.float()
        else:
            one = {torch.int16: WEIGHT_ONE, torch.int32: SUM_ONE}.get(value.dtype, 1)
            state[key] = value.float() / one
    return state, tables


def write_tensors(
    path: Path, tensors: dict[str, Tensor], config: ModelConfig, card: dict[str, Any]
) -> str:
    """Write a weights file; its SHA-256, hexadecimal."""
    metadata = {"config": json.dumps(config.to_json()), "card": json.dumps(card)}
    data = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, metadata)
    write_atomically(path, data, force=True)
    return hashlib.sha256(data).hexdigest()


def model_of(config: ModelConfig, state: dict[str, Tensor], *, strict: bool) -> CodecModel:
    """A model that holds the tensors of `state` themselves; no weights are drawn for it."""
    with torch.device("meta"):
        model = CodecModel(config)
    model.load_state_dict(state, strict=strict, assign=True)
    return model


def integer_net(model: CodecModel, name: str) -> IntegerNet:
    """The network of integers of that name: `prior` or `scales`."""
    net = getattr(model, name)
    assert isinstance(net, IntegerNet)
    return net
