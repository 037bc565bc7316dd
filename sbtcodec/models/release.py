"""A released model on disk: half-precision float networks, integer networks, integer tables.

Integer tensors are stored as integers; the tables and the gain offsets that select them are part of
the release, never recomputed where files are decoded. The names of tensors in the file are those
that `docs/format.md` fixes.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sbtcodec.entropy.coder import DetailTables
from sbtcodec.entropy.entropy_parameters import SCALE_STEP, SUMS_PER_INDEX, gain_offset
from sbtcodec.entropy.frequencies import Frequencies, gaussian_tables, octave_table
from sbtcodec.entropy.integer_net import SUM_ONE, WEIGHT_ONE, IntegerNet
from sbtcodec.entropy.step_size import ANCHOR_WEIGHT_ONE, CODES, integer_anchor_weights
from sbtcodec.errors import WeightsError
from sbtcodec.image.files import write_atomically
from sbtcodec.models.config import CodecModel, ModelConfig
from sbtcodec.models.digest import Array, pictures_digest, symbols_digest
from sbtcodec.models.registry import read_manifest, weights_dir
from sbtcodec.runtime import modes

LMBDA_MIN, LMBDA_MAX = 0.00006, 0.08  # of a release that does not state its recipe
MOST_KEPT = 8  # models that stay in memory
# Parts of the tokenizer that only an encoder runs.
ENCODER = ("local_encoder", "global_encoder", "adapter", "token_adapter", "alone_adapter")


@dataclass(frozen=True)
class Release:
    """A model ready for use, all networks in evaluation mode.

    Attributes:
        number: the stable number that files carry, 1..255.
        name: for people.
        folder: where it was loaded from; files of other models are looked for there.
        sha256: digest of the weights file, hexadecimal.
        digest: of what the number stands for, 32 bytes; the checks of every file begin with it.
        pictures_digest: of all that a decoder runs, 32 bytes.
        model: the networks; integer networks frozen and proven exact.
        tables: distributions of detail symbols.
        octaves: powers of two for the prior's logits.
        integer_anchor_weights: int64 [256, anchors], interpolation weights of the anchors of
            the gains for each quality code; 64 is one.
        gain_offsets: int64 [256, local_channels], added to the scale accumulators; the gains
            themselves (1 / step size) are derived from them.
        recipe: how it was trained (`sbtcodec.training.config`); empty if the file does not say.
    """

    number: int
    name: str
    folder: Path
    sha256: str
    digest: bytes
    pictures_digest: bytes
    model: CodecModel
    tables: DetailTables
    octaves: Frequencies
    integer_anchor_weights: NDArray[np.int64]
    gain_offsets: NDArray[np.int64]
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def model_id(self) -> str:
        """Name and digest, for results: `sbt-4 (0123456789ab)`."""
        return f"{self.name} ({self.sha256[:12]})"

    def lmbda(self, quality: int) -> float:
        """Bits per pixel that the model gives for one unit of squared error (8-bit samples).

        Log-linear between the lowest and the highest anchor, as in training. Where a release has
        enlarged steps beyond the lowest anchor, the squared step size tells.

        Args:
            quality: code, 0..255.
        """
        low, high = (
            math.log(self.recipe.get(key, default))
            for key, default in (("lmbda_min", LMBDA_MIN), ("lmbda_max", LMBDA_MAX))
        )
        weights = self.integer_anchor_weights[quality] / ANCHOR_WEIGHT_ONE
        place = float(weights @ np.arange(len(weights))) / max(1, len(weights) - 1)
        learned = weights @ self.model.tokenizer.log_gains.detach().cpu().double().numpy()
        used = self.gain_offsets[quality] * (SCALE_STEP / SUMS_PER_INDEX)
        return math.exp(low + place * (high - low) + 2 * float((used - learned).mean()))

    def gains(self, quality: int) -> Tensor:
        """Steps per unit of each local channel at a quality code: float32 [local_channels]."""
        nats = self.gain_offsets[quality] * (SCALE_STEP / SUMS_PER_INDEX)
        return torch.from_numpy(np.exp(nats)).float()

    def anchor_weights(self, quality: int) -> Tensor:
        """What the float networks see of a quality code: float32 [anchors], summing to 1."""
        return torch.from_numpy(self.integer_anchor_weights[quality]).float() / ANCHOR_WEIGHT_ONE


@modes.construction()
def export(
    state: dict[str, Tensor],
    config: ModelConfig,
    path: Path,
    *,
    card: dict[str, Any],
    tables: list[Frequencies] | None = None,
    like: Path | None = None,
) -> str:
    """Write a release from trained weights.

    Args:
        state: parameters by name, as `CodecModel.named_parameters` has them.
        config: sizes of the model.
        path: the safetensors file to write.
        card: JSON, kept in the file's metadata.
        tables: distributions of detail symbols; normal ones if not given.
        like: released weights whose tables are kept, all of them, where only the encoder or the
            decoder was trained on: then the model keeps its number.

    Returns:
        SHA-256 of the file, hexadecimal.

    Raises:
        WeightsError: `like` does not hold released weights.
    """
    # copies, since what is too large is held in place
    own = {k: v.detach().to("cpu", torch.float32, copy=True) for k, v in state.items()}
    model = _model_of(config, own, strict=False)
    tensors: dict[str, Tensor] = {}
    integer = set()
    for room in ("prior", "scales"):
        for name, conv in _net(model, room).convs():
            conv.hold()
            integer.add(f"{room}.{name}")
    for name, value in model.named_parameters():
        owner, _, kind = name.rpartition(".")
        if owner not in integer:
            tensors[name] = value.detach().half()
        elif kind == "weight":
            rounded = (value.detach() * WEIGHT_ONE).round().clamp(-32768, 32767)
            tensors[name] = rounded.to(torch.int16)
        else:
            tensors[name] = (value.detach() * SUM_ONE).round().to(torch.int32)
    tensors["scales.magnitudes"] = model.scales.magnitudes.to(torch.int32)
    anchors = config.tokenizer.gain_anchors
    anchor_weights = torch.from_numpy(
        np.array([integer_anchor_weights(q, anchors) for q in range(CODES)])
    )
    log_gains = tensors["tokenizer.log_gains"].double()
    of_codes = anchor_weights.double() / ANCHOR_WEIGHT_ONE @ log_gains
    tensors["tables.hats"] = anchor_weights.to(torch.int32)
    tensors["tables.gain_offsets"] = gain_offset(of_codes).round().to(torch.int32)
    made = tables if tables is not None else gaussian_tables(config.shapes)
    tensors["tables.sizes"] = torch.from_numpy(np.array([len(t) for t in made], dtype=np.int32))
    tensors["tables.frequencies"] = torch.from_numpy(np.concatenate(made)).to(torch.int32)
    tensors["tables.octaves"] = torch.from_numpy(octave_table()).to(torch.int32)
    if like is not None:
        _, kept, _ = _stored(like)
        tensors |= {k: torch.from_numpy(v) for k, v in kept.items() if k.startswith("tables.")}
    return _save(path, tensors, config, card)


def export_decoder(source: Path, path: Path) -> str:
    """Write the decoder's half of released weights: all that files need, for ever.

    Args:
        source: the weights.
        path: the safetensors file to write.

    Returns:
        SHA-256 of the file, hexadecimal.

    Raises:
        WeightsError: `source` does not hold released weights.
    """
    config, stored, card = _stored(source)
    config = replace(config, tokenizer=replace(config.tokenizer, encoder=False))
    left_out = tuple(f"tokenizer.{part}." for part in ENCODER)
    kept = {k: torch.from_numpy(v) for k, v in stored.items() if not k.startswith(left_out)}
    return _save(path, kept, config, card)


def _save(path: Path, tensors: dict[str, Tensor], config: ModelConfig, card: dict[str, Any]) -> str:
    """Write a weights file; its SHA-256, hexadecimal."""
    metadata = {"config": json.dumps(config.to_json()), "card": json.dumps(card)}
    data = safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, metadata)
    write_atomically(path, data, force=True)
    return hashlib.sha256(data).hexdigest()


def _model_of(config: ModelConfig, state: dict[str, Tensor], *, strict: bool) -> CodecModel:
    """A model that holds the tensors of `state` themselves; no weights are drawn for it."""
    with torch.device("meta"):
        model = CodecModel(config)
    model.load_state_dict(state, strict=strict, assign=True)
    return model


def _net(model: CodecModel, room: str) -> IntegerNet:
    net = getattr(model, room)
    assert isinstance(net, IntegerNet)
    return net


def load_release(number: int | None = None, folder: Path | None = None) -> Release:
    """Load a released model by its number; the manifest's default without one.

    Raises:
        WeightsError: manifest or weights are missing, damaged, or do not fit the program.
        ModelMismatchError: no model of that number is installed.
    """
    folder = folder or weights_dir()
    manifest = read_manifest(folder)
    entry = manifest.entry(manifest.default if number is None else number)
    path = folder / entry.file
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"the weights {path} cannot be read: {error}") from error
    if found != entry.sha256:
        raise WeightsError(
            f"the weights {path} are damaged: SHA-256 {found[:12]}..., the manifest says "
            f"{entry.sha256[:12]}...; reinstall sbtcodec"
        )
    release = _read(path, entry.number, entry.name, found)
    if release.digest.hex() != entry.digest:
        raise WeightsError(
            f"{path} is not model {entry.number}: its digest is {release.digest.hex()[:12]}...,"
            f" the manifest says {entry.digest[:12]}...; reinstall sbtcodec"
        )
    return release


_kept: dict[tuple[str, str, str], Release] = {}


def kept_release(number: int | None, folder: Path | None, device: torch.device) -> Release:
    """A released model whose float networks are on a device; loaded once, then kept.

    Arguments and errors are those of `load_release`. What is kept is shared: nobody changes it.
    """
    folder = folder or weights_dir()
    manifest = read_manifest(folder)
    entry = manifest.entry(manifest.default if number is None else number)
    key = str(folder.resolve()), f"{entry.number} {entry.sha256}", str(device)
    found = _kept.get(key)
    if found is None:
        # without a lock, which a fork could leave locked: at worst two threads load it
        found = _kept.setdefault(key, load_release(entry.number, folder))
        for oldest in list(_kept)[:-MOST_KEPT]:
            _kept.pop(oldest, None)
    return found


def digests(path: Path) -> tuple[bytes, bytes]:
    """The digests of released weights: of what their number stands for, and of their pictures.

    Raises:
        WeightsError: the file is not one of released weights.
    """
    config, stored, _ = _stored(path)
    return symbols_digest(config, stored), pictures_digest(config, stored)


def _stored(path: Path) -> tuple[ModelConfig, dict[str, Array], dict[str, Any]]:
    """Configuration, tensors as they are stored, and card of a weights file.

    Raises:
        WeightsError: the file is not one of released weights.
    """
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata()
            config = ModelConfig.from_json(json.loads(metadata["config"]))
            card = json.loads(metadata.get("card", "{}"))
            return config, {k: file.get_tensor(k) for k in file.keys()}, card  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not hold released weights: {error}") from error


@modes.construction()
def read_state(path: Path) -> tuple[ModelConfig, dict[str, Tensor], dict[str, Tensor]]:
    """Configuration, parameters in natural units (float32), and integer tables of a weights file.

    Raises:
        WeightsError: the file is not one of released weights.
    """
    config, stored, _ = _stored(path)
    return config, *_natural(stored)


def _natural(stored: dict[str, Array]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
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


@modes.construction()
def _read(path: Path, number: int, name: str, sha256: str) -> Release:
    """Build the model from a weights file."""
    config, stored, card = _stored(path)
    state, extra = _natural(stored)
    try:
        digest, pictures = symbols_digest(config, stored), pictures_digest(config, stored)
        model = _model_of(config, state, strict=True)
        for room in ("prior", "scales"):
            _net(model, room).freeze()
        ends = np.cumsum(extra["sizes"].numpy())[:-1]
        frequencies = extra["frequencies"].numpy().astype(np.int64)
        tables = DetailTables(np.split(frequencies, ends))
        octaves, anchor_weights, gain_offsets = (
            extra[key].numpy().astype(np.int64) for key in ("octaves", "hats", "gain_offsets")
        )
    except (RuntimeError, KeyError, ValueError, OverflowError) as error:
        raise WeightsError(f"the weights {path} do not fit this program: {error}") from error
    model.requires_grad_(requires_grad=False).eval()
    return Release(
        number,
        name,
        path.parent,
        sha256,
        digest,
        pictures,
        model,
        tables,
        octaves,
        anchor_weights,
        gain_offsets,
        card.get("recipe", {}),
    )
