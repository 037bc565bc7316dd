"""Fixtures shared by the tests: a tiny model made on the spot, the shipped one, a photograph."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sbtcodec.codec.codec import Codec
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.export import export
from sbtcodec.training.config import MODELS
from sbtcodec.training.publish import add


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with released weights of a tiny, untrained model (number 1)."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)  # no symbol of the tests lies between two, where sums decide
    model = CodecModel(MODELS["tiny"])
    t = model.tokenizer
    for adapter in (t.adapter, t.token_adapter, t.alone_adapter):
        assert adapter is not None
        torch.nn.init.normal_(adapter.head.weight, std=0.1)  # else it does nothing
    state = {k: v.detach() for k, v in model.named_parameters()}
    export(state, MODELS["tiny"], folder / "new.safetensors", card={})
    add(folder, folder / "new.safetensors", number=1, name="tiny")
    return folder


@pytest.fixture(scope="session")
def tiny_codec(tiny_weights: Path) -> Codec:
    """A codec with the tiny model, on the CPU."""
    return Codec.load("cpu", weights=tiny_weights)


@pytest.fixture(scope="session")
def codec() -> Codec:
    """A codec with the shipped weights, on the CPU."""
    return Codec.load("cpu")


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A real photograph of odd size, uint8 [151, 227, 3]."""
    from skimage import data

    return np.ascontiguousarray(data.chelsea()[40:191, 100:327])
