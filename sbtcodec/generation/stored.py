"""A generator's weights file: half precision, with its sizes and the model it belongs to."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sbtcodec.errors import ModelMismatchError, WeightsError
from sbtcodec.generation.config import GeneratorConfig
from sbtcodec.generation.facts import facts_in
from sbtcodec.generation.transformer import Transformer
from sbtcodec.models.registry import (
    MANIFEST,
    Companion,
    checked_weights,
    read_manifest,
    weights_dir,
    write_manifest,
)
from sbtcodec.runtime import modes
from sbtcodec.runtime.tensor_files import save_tensors


class StoredGenerator(NamedTuple):
    """What a weights file of a generator holds.

    Attributes:
        model: the transformer, float32, in evaluation mode.
        number: of the model whose global tokens it makes.
        digest: of what that number stands for, hexadecimal.
        card: how it was trained.
    """

    model: Transformer
    number: int
    digest: str
    card: dict[str, Any]


def write_generator(
    path: Path,
    config: GeneratorConfig,
    state: dict[str, Tensor],
    *,
    number: int,
    digest: str,
    card: dict[str, Any],
) -> None:
    """Write a weights file; arguments as the attributes of `StoredGenerator`."""
    half = {name: value.detach().cpu().half().contiguous() for name, value in state.items()}
    metadata = {"config": config.to_json(), "model": number, "digest": digest, "card": card}
    save_tensors(half, path, {k: json.dumps(v) for k, v in metadata.items()})


@modes.construction()
def read_generator(path: Path) -> StoredGenerator:
    """Read a weights file.

    Raises:
        WeightsError: it is missing, or not one of a generator.
    """
    try:
        with safe_open(path, "pt") as file:
            config, number, digest, card = facts_in(file.metadata())
            state = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
        with torch.device("meta"):
            model = Transformer(config)
        model.load_state_dict(state, strict=True, assign=True)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold a generator: {error}") from error
    model.requires_grad_(requires_grad=False).eval()
    return StoredGenerator(model, number, digest, card)


def add_generator(folder: Path, weights: Path, *, name: str | None = None) -> Path:
    """Take a weights file into a folder of models, as the generator of its model.

    Args:
        folder: of the manifest.
        weights: the file, on the same disk; it is moved.
        name: of the generator and of its file; generator-NUMBER if not given.

    Returns:
        Where the file is now.

    Raises:
        WeightsError: it is none.
        ModelMismatchError: the folder has not the model whose tokens it makes.
    """
    stored = read_generator(weights)
    manifest = read_manifest(folder)
    check_model(stored, manifest.entry(stored.number).digest)
    name = name or f"generator-{stored.number}"
    path = folder / f"{name}.safetensors"
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.replace(path)
    others = [g for g in manifest.generators if g.model != stored.number]
    generators = (*others, Companion(stored.number, name, path.name, sha256))
    write_manifest(folder, replace(manifest, generators=generators))
    return path


def load_generator(
    number: int | None = None, folder: Path | None = None
) -> tuple[StoredGenerator, Companion]:
    """The generator of a model, by the model's number; of the default model without one.

    Raises:
        WeightsError: manifest or weights are missing or damaged.
        ModelMismatchError: there is none for that model.
    """
    folder = folder or weights_dir()
    manifest = read_manifest(folder)
    number = manifest.default if number is None else number
    for entry in manifest.generators:
        if entry.model == number:
            stored = read_generator(checked_weights(folder, entry))
            if stored.number != number:
                raise WeightsError(
                    f"{folder / MANIFEST} has {entry.file} for model {number}, but it makes tokens"
                    f" of model {stored.number}; reinstall sbtcodec"
                )
            check_model(stored, manifest.entry(number).digest)
            return stored, entry
    having = ", ".join(str(g.model) for g in manifest.generators) or "none"
    raise ModelMismatchError(
        f"no generator of model {number} is installed, models that have one: {having};"
        " train one for it"
    )


def check_model(stored: StoredGenerator, digest: str) -> None:
    """Make sure that a generator belongs to the model that an installation has.

    Raises:
        ModelMismatchError: it was trained on tokens of another one.
    """
    if stored.digest != digest:
        raise ModelMismatchError(
            f"the generator makes tokens of a model {stored.number} with digest"
            f" {stored.digest[:12]}, the one installed has {digest[:12]}; train one for it"
        )
