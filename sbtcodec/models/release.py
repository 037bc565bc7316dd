"""A released model: loaded by its number, checked, frozen, and kept in memory."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sbtcodec.entropy.coder import DetailTables
from sbtcodec.entropy.step_size import log_gains_of
from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE
from sbtcodec.errors import WeightsError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.prices import Prices
from sbtcodec.models.registry import Entry, checked_weights, read_manifest, weights_dir
from sbtcodec.models.stored import digests, read_tensors
from sbtcodec.models.symbol_model import SymbolModel, symbol_model_of
from sbtcodec.models.weights_file import in_natural_units, integer_net, model_of
from sbtcodec.runtime import modes

MOST_KEPT = 8  # models that stay in memory


@dataclass(frozen=True)
class Release:
    """A model ready for use, all networks in evaluation mode.

    Attributes:
        number: the stable number that files carry, 1..255.
        name: for people.
        folder: where it was loaded from; files of other models are looked for there.
        path: of its weights file.
        sha256: digest of that file, hexadecimal.
        model: the networks; integer networks frozen and proven exact.
        symbols: what decides symbols, as coding runs it.
        recipe: how it was trained (`sbtcodec.training.config`); empty if the file does not say.
    """

    number: int
    name: str
    folder: Path
    path: Path
    sha256: str
    model: CodecModel
    symbols: SymbolModel
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def model_id(self) -> str:
        """Name and digest, for results: `sbt-4 (0123456789ab)`."""
        return f"{self.name} ({self.sha256[:12]})"

    @property
    def digest(self) -> bytes:
        """Of what the number stands for, as `SymbolModel` has it."""
        return self.symbols.digest

    @property
    def tables(self) -> DetailTables:
        """Distributions of detail symbols."""
        return self.symbols.tables

    @property
    def integer_anchor_weights(self) -> NDArray[np.int64]:
        """Of each quality code, as `SymbolModel` has them."""
        return self.symbols.integer_anchor_weights

    @property
    def gain_offsets(self) -> NDArray[np.int64]:
        """Of each quality code, as `SymbolModel` has them."""
        return self.symbols.gain_offsets

    @cached_property
    def pictures_digest(self) -> bytes:
        """Of all that a decoder runs, 32 bytes; the file is read again for it.

        Raises:
            WeightsError: the file is gone, or another one.
        """
        symbols, pictures = digests(self.path)
        if symbols != self.digest:
            raise WeightsError(f"{self.path} has changed since it was loaded; load it again")
        return pictures

    @property
    def prices(self) -> Prices:
        """What its errors and bits are worth to each other."""
        log_gains = self.model.tokenizer.log_gains.detach().cpu().double().numpy()
        return Prices(self.symbols, log_gains, self.recipe)

    def lmbda(self, quality: int) -> float:
        """Bits per pixel for one unit of squared error; see `Prices.lmbda`."""
        return self.prices.lmbda(quality)

    def bit_weight(self, quality: int) -> float:
        """Squared steps that a bit is worth; see `Prices.bit_weight`."""
        return self.prices.bit_weight(quality)

    def gains(self, quality: int) -> Tensor:
        """Inverse step size of each local channel at a quality code: float32 [local_channels]."""
        nats = log_gains_of(self.gain_offsets[quality])
        return torch.from_numpy(np.exp(nats)).float()

    def anchor_weights(self, quality: int) -> Tensor:
        """What the float networks see of a quality code: float32 [anchors], summing to 1."""
        return torch.from_numpy(self.integer_anchor_weights[quality]).float() / ANCHOR_WEIGHT_ONE


def load_release(
    number: int | None = None, folder: Path | None = None, *, encoder: bool = True
) -> Release:
    """Load a released model by its number; the manifest's default without one.

    Args:
        number: of the model.
        folder: with a manifest, instead of the installed one.
        encoder: also the networks that only an encoder runs.

    Raises:
        WeightsError: manifest or weights are missing, damaged, or do not fit the program.
        ModelMismatchError: no model of that number is installed.
    """
    folder = folder or weights_dir()
    manifest = read_manifest(folder)
    entry = manifest.entry(manifest.default if number is None else number)
    return _read(checked_weights(folder, entry), entry, encoder=encoder)


_kept: dict[tuple[str, str, str, bool], Release] = {}


def kept_release(
    number: int | None, folder: Path | None, device: torch.device, *, encoder: bool = True
) -> Release:
    """A released model whose float networks are on a device; loaded once, then kept.

    The other arguments, and errors, are those of `load_release`. What is kept is shared: nobody
    changes it. Where the whole model is kept, that is what decodes, too.
    """
    folder = folder or weights_dir()
    manifest = read_manifest(folder)
    entry = manifest.entry(manifest.default if number is None else number)
    encoder = encoder and entry.encoder
    where = str(folder.resolve()), f"{entry.number} {entry.sha256}", str(device)
    found = _kept.get((*where, True))
    if encoder:
        _kept.pop((*where, False), None)  # which the whole model takes the place of
    elif found is None:
        found = _kept.get((*where, False))
    if found is None:
        # without a lock, which a fork could leave locked: at worst two threads load it
        loaded = load_release(entry.number, folder, encoder=encoder)
        found = _kept.setdefault((*where, encoder), loaded)
        for oldest in list(_kept)[:-MOST_KEPT]:
            _kept.pop(oldest, None)
    return found


@modes.construction()
def _read(path: Path, entry: Entry, *, encoder: bool) -> Release:
    """Build the model from a weights file."""
    config, stored, card = read_tensors(path, encoder=encoder)
    state, _ = in_natural_units(stored)
    symbols = symbol_model_of(path, entry, config, stored)
    try:
        model = model_of(config, state, strict=True)
        for part in ("prior", "scales"):
            integer_net(model, part).freeze()
    except (RuntimeError, KeyError, ValueError, OverflowError) as error:
        raise WeightsError(f"the weights {path} do not fit this program: {error}") from error
    model.requires_grad_(requires_grad=False).eval()
    return Release(
        entry.number,
        entry.name,
        path.parent,
        path,
        entry.sha256,
        model,
        symbols,
        card.get("recipe", {}),
    )
