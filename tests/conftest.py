"""Fixtures shared by the tests: a tiny model made on the spot, the shipped one, a photograph."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from trunks import trunk

from sbtcodec.codec.codec import Codec
from sbtcodec.generation.config import GeneratorConfig
from sbtcodec.generation.generator import Generator
from sbtcodec.generation.stored import add_generator, write_generator
from sbtcodec.generation.transformer import Transformer
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.export import export
from sbtcodec.models.looks import add_look, write_look
from sbtcodec.models.release import Release, load_release
from sbtcodec.tokenizer.look import Look, look_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
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
def generator_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model and a generator of random weights for it."""
    folder = tmp_path_factory.mktemp("generator") / "weights"
    shutil.copytree(tiny_weights, folder)
    release = load_release(folder=folder)
    tokenizer = release.model.config.tokenizer
    config = GeneratorConfig(
        tokenizer.levels, ("church", "tench"), width=32, depth=2, heads=2, head_width=32
    )
    write_generator(
        folder / "new.part",
        config,
        random_transformer(config).state_dict(),
        number=release.number,
        digest=release.digest.hex(),
        card={"local_channels": tokenizer.local_channels},
    )
    add_generator(folder, folder / "new.part")
    return folder


@pytest.fixture(scope="session")
def generator(generator_weights: Path) -> Generator:
    """That generator, on the CPU."""
    return Generator.load("cpu", weights=generator_weights)


def random_transformer(config: GeneratorConfig, seed: int = 5) -> Transformer:
    """A transformer whose distributions depend on all that it sees."""
    torch.manual_seed(seed)
    model = Transformer(config).eval()
    with torch.no_grad():
        model.head.logits.normal_(std=0.3)
        model.conditions.normal_(std=0.5)
    return model


@pytest.fixture(scope="session")
def trunk_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small VGG trunk."""
    path = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    save_file(trunk(), path)
    return path


@pytest.fixture(scope="session")
def look_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model and a stand-in for its vivid look, with its own predictor."""
    folder = tmp_path_factory.mktemp("look") / "weights"
    shutil.copytree(tiny_weights, folder)
    release = load_release(folder=folder)
    put_look(folder, release, changed_look(release, own_predictor=True))
    return folder


@pytest.fixture(scope="session")
def look_codec(look_weights: Path) -> Codec:
    """A codec with the tiny model and its look, on the CPU."""
    return Codec.load("cpu", precision="float32", weights=look_weights)


def changed_look(release: Release, *, finest_width: int = 8, own_predictor: bool = False) -> Look:
    """A look whose pictures differ a little from the faithful ones, everywhere."""
    torch.manual_seed(7)
    tokenizer = release.model.tokenizer
    sizes = PredictorSizes.of(tokenizer.config).deeper(1, 1) if own_predictor else None
    look = look_like(tokenizer, finest_width, sizes)
    with torch.no_grad():
        for value in look.decoder.parameters():
            value.add_(0.05 * torch.randn_like(value) * (value.std() if value.numel() > 1 else 1))
        if look.decoder.finest is not None:
            torch.nn.init.normal_(look.decoder.finest[3].weight, std=0.05)
            torch.nn.init.normal_(look.decoder.noise4, std=0.3)
            torch.nn.init.normal_(look.decoder.noise2, std=0.3)
        if look.predictor is not None:
            torch.nn.init.normal_(look.predictor.refiner.head.weight, std=0.05)
    return look


def put_look(folder: Path, release: Release, look: Look) -> Path:
    """Make it the vivid look of a folder's model."""
    path = folder / "new.part"
    digest = release.digest.hex()
    write_look(path, look, number=release.number, digest=digest, recipe={"minutes": 1})
    return add_look(folder, path)


@pytest.fixture(scope="session")
def codec() -> Codec:
    """A codec with the shipped weights, on the CPU."""
    return Codec.load("cpu")


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A real photograph of odd size, uint8 [151, 227, 3]."""
    from skimage import data

    return np.ascontiguousarray(data.chelsea()[40:191, 100:327])


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two photographs to train on."""
    from skimage import data

    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
    return folder
