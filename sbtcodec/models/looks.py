"""Looks of a model: weights files with another decoder for its files, read, checked and written.

A file has metadata and half-precision tensors:

    model, digest   of the model whose tokens it shows: its number, and what that stands for
    finest_width    channels of the decoder's branch at stride 2
    predictor       sizes of its predictor, of `PredictorSizes`; null without one
    recipe          how it was trained
    decoder.*       of `Decoder(config, finest_width)`, for the sizes of that model
    predictor.*     of `Predictor(predictor, config)`, for pictures of global tokens alone

What selects probabilities is not in it, so a look can come, change and go without harm to files.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sbtcodec.errors import ModelMismatchError, WeightsError
from sbtcodec.models.registry import (
    MANIFEST,
    VIVID,
    Companion,
    checked_weights,
    read_manifest,
    write_manifest,
)
from sbtcodec.models.release import MOST_KEPT, Release, load_release
from sbtcodec.runtime import modes
from sbtcodec.runtime.tensor_files import save_tensors
from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.tokenizer.look import Look
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes

# what reading a file that is none of a look may end in; an infinite size is an arithmetic error
FAULTS = (
    OSError,
    SafetensorError,
    KeyError,
    TypeError,
    ValueError,
    ArithmeticError,
    RuntimeError,
)


class StoredLook(NamedTuple):
    """What a weights file of a look holds.

    Attributes:
        look: the networks, float32, in evaluation mode.
        number: of the model whose files it shows.
        digest: of what that number stands for, hexadecimal.
        recipe: how it was trained.
    """

    look: Look
    number: int
    digest: str
    recipe: dict[str, Any]


class _Facts(NamedTuple):
    """The metadata of a file; see the module."""

    number: int
    digest: str
    finest_width: int
    predictor: dict[str, Any] | None
    recipe: dict[str, Any]


def write_look(
    path: Path, look: Look, *, number: int, digest: str, recipe: dict[str, Any] | None = None
) -> None:
    """Write a weights file; arguments as the attributes of `StoredLook`."""
    half = {k: v.detach().cpu().half().contiguous() for k, v in look.state_dict().items()}
    finest = look.decoder.finest_width
    sizes = None if look.predictor is None else look.predictor.sizes.to_json()
    facts = _Facts(number, digest, finest, sizes, recipe or {})._asdict()
    metadata = {"model": facts.pop("number")} | facts
    save_tensors(half, path, {k: json.dumps(v) for k, v in metadata.items()})


@modes.construction()
def read_look(path: Path, config: TokenizerConfig) -> StoredLook:
    """Read a weights file.

    Args:
        path: the file.
        config: sizes of the model that it is for.

    Raises:
        WeightsError: it is missing, is not one of a look, or is one for a model of other sizes.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = _facts_in(file.metadata())
            state = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
        look = _look_of(config, facts, state)
    except FAULTS as error:
        raise WeightsError(
            f"{path} does not hold a look of this model: {' '.join(str(error).split())}"
        ) from error
    return StoredLook(look, facts.number, facts.digest, facts.recipe)


def add_look(folder: Path, weights: Path, *, name: str = VIVID) -> Path:
    """Take a weights file into a folder of models, as a look of its model.

    Args:
        folder: of the manifest.
        weights: the file, on the same disk; it is moved.
        name: of the look; one of that name that the model has already is replaced.

    Returns:
        Where the file is now: `sbt-9-vivid.safetensors`, say.

    Raises:
        WeightsError: it is none, or not of the sizes of its model.
        ModelMismatchError: the folder has not the model whose files it shows.
    """
    number = _read_facts(weights).number
    manifest = read_manifest(folder)
    release = load_release(number, folder, encoder=False)
    _check_model(read_look(weights, release.model.config.tokenizer), release)
    path = folder / f"{release.name}-{name}.safetensors"
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.replace(path)
    others = tuple(k for k in manifest.looks if (k.model, k.name) != (number, name))
    looks = (*others, Companion(number, name, path.name, sha256))
    write_manifest(folder, replace(manifest, looks=looks))
    return path


def look_entry(folder: Path, number: int, name: str = VIVID) -> Companion:
    """What the manifest says of a look of a model; its weights are not read.

    Raises:
        WeightsError: the manifest is missing or damaged.
        ModelMismatchError: the model has no look of that name.
    """
    manifest = read_manifest(folder)
    for entry in manifest.looks_of(number):
        if entry.name == name:
            return entry
    having = ", ".join(str(k.model) for k in manifest.looks if k.name == name) or "none"
    raise ModelMismatchError(
        f"no {name} look of model {number} is installed, models that have one: {having};"
        " leave realism at 0"
    )


def load_look(release: Release, name: str = VIVID) -> Look:
    """A look of a released model, from the folder that this was loaded from.

    Raises:
        WeightsError: manifest or weights are missing or damaged, or those of another look.
        ModelMismatchError: the model has no look of that name, or it is one of another model.
    """
    return _loaded(release, look_entry(release.folder, release.number, name))


_kept: dict[tuple[str, str, str], Look] = {}


def kept_look(release: Release, device: torch.device, name: str = VIVID) -> Look:
    """The same with its networks on a device; loaded once, then kept, and never changed.

    Errors are those of `load_look`.
    """
    entry = look_entry(release.folder, release.number, name)
    where = str(release.folder.resolve()), f"{entry.model} {entry.sha256}", str(device)
    found = _kept.get(where)
    if found is None:
        # without a lock, as releases are kept: at worst two threads load it
        loaded = _loaded(release, entry)
        with modes.construction():
            found = _kept.setdefault(where, channels_last(loaded.to(device)))
        for oldest in list(_kept)[:-MOST_KEPT]:
            _kept.pop(oldest, None)
    return found


def _loaded(release: Release, entry: Companion) -> Look:
    path = checked_weights(release.folder, entry)
    stored = read_look(path, release.model.config.tokenizer)
    if stored.number != release.number:
        raise WeightsError(
            f"{release.folder / MANIFEST} has {entry.file} for model {release.number}, but it shows"
            f" files of model {stored.number}; reinstall sbtcodec"
        )
    _check_model(stored, release)
    return stored.look


def _check_model(stored: StoredLook, release: Release) -> None:
    """Make sure that a look belongs to the model that an installation has."""
    if stored.digest != release.digest.hex():
        raise ModelMismatchError(
            f"the look shows files of a model {stored.number} with digest {stored.digest[:12]}, the"
            f" one installed has {release.digest.hex()[:12]}; get or train one for it"
        )


def _look_of(config: TokenizerConfig, facts: _Facts, state: dict[str, Tensor]) -> Look:
    """Networks that hold the tensors of `state` themselves.

    Raises:
        TypeError, ValueError: the sizes of the predictor are none.
        RuntimeError: the tensors are not those of these sizes.
    """
    sizes = None if facts.predictor is None else PredictorSizes(**facts.predictor)
    with torch.device("meta"):
        look = Look(config, facts.finest_width, sizes)
    look.load_state_dict(state, strict=True, assign=True)
    look.requires_grad_(requires_grad=False).eval()
    return look


def _facts_in(metadata: dict[str, str] | None) -> _Facts:
    """The facts in the metadata of a file.

    Raises:
        KeyError, TypeError, ValueError: they are not those of a look.
    """
    about = {name: json.loads(text) for name, text in (metadata or {}).items()}
    width = int(about["finest_width"])
    if width < 0:
        raise ValueError(f"finest_width is {width}, expected 0 or more")
    sizes = about.get("predictor")
    if sizes is not None:
        sizes = dict(sizes)
    recipe = dict(about["recipe"])
    return _Facts(int(about["model"]), str(about["digest"]), width, sizes, recipe)


def _read_facts(path: Path) -> _Facts:
    """The facts of a weights file; raises `WeightsError`."""
    try:
        with safe_open(path, "np") as file:
            return _facts_in(file.metadata())
    except FAULTS as error:
        raise WeightsError(f"{path} does not hold a look: {error}") from error
