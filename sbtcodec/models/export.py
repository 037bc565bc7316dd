"""Trained weights to released ones: half-precision float networks, integer networks and tables.

The tables and the gain offsets that select them are part of a release, never recomputed where files
are decoded.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sbtcodec.entropy.entropy_parameters import gain_offset
from sbtcodec.entropy.frequencies import Frequencies, gaussian_tables, octave_table
from sbtcodec.entropy.step_size import CODES, integer_anchor_weights
from sbtcodec.entropy.units import ANCHOR_WEIGHT_ONE, SUM_ONE, WEIGHT_ONE
from sbtcodec.models.config import ModelConfig
from sbtcodec.models.stored import ALONE, read_tensors
from sbtcodec.models.weights_file import integer_net, model_of, write_tensors
from sbtcodec.runtime import modes
from sbtcodec.tokenizer.look import Look


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
            decoder was trained on: then the model keeps its number, and what it has for pictures
            of global tokens alone.

    Returns:
        SHA-256 of the file, hexadecimal.

    Raises:
        WeightsError: `like` does not hold released weights.
    """
    # copies, since what is too large is held in place
    own = {k: v.detach().to("cpu", torch.float32, copy=True) for k, v in state.items()}
    model = model_of(config, own, strict=False)
    tensors: dict[str, Tensor] = {}
    integer = set()
    for part in ("prior", "scales"):
        for name, conv in integer_net(model, part).convs():
            conv.hold()
            integer.add(f"{part}.{name}")
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
    # the name that the file has for anchor weights; it is part of the digest
    tensors["tables.hats"] = anchor_weights.to(torch.int32)
    tensors["tables.gain_offsets"] = gain_offset(of_codes).round().to(torch.int32)
    made = tables if tables is not None else gaussian_tables(config.shapes)
    tensors["tables.sizes"] = torch.from_numpy(np.array([len(t) for t in made], dtype=np.int32))
    tensors["tables.frequencies"] = torch.from_numpy(np.concatenate(made)).to(torch.int32)
    tensors["tables.octaves"] = torch.from_numpy(octave_table()).to(torch.int32)
    if like is not None:
        old, kept, before = read_tensors(like)
        names = ("tables.", ALONE)
        tensors |= {k: torch.from_numpy(v) for k, v in kept.items() if k.startswith(names)}
        if old.tokenizer.alone is not None:
            config = config.with_alone(old.tokenizer.alone)
            card = card | {"alone": before.get("alone")}
    return write_tensors(path, tensors, config, card)


def export_alone(source: Path, look: Look, path: Path, *, recipe: dict[str, Any]) -> str:
    """Write released weights with other networks for pictures of global tokens alone.

    Args:
        source: the weights; symbols, encoder and all other pictures stay what they are.
        look: of `alone_like`, trained.
        path: the safetensors file to write.
        recipe: JSON, how they were trained; kept in the card.

    Returns:
        SHA-256 of the file, hexadecimal.

    Raises:
        WeightsError: `source` does not hold released weights.
    """
    assert look.predictor is not None
    config, stored, card = read_tensors(source)
    tensors = {k: torch.from_numpy(v) for k, v in stored.items() if not k.startswith(ALONE)}
    tensors |= {ALONE + k: v.detach().cpu().half() for k, v in look.state_dict().items()}
    card = card | {"alone": recipe}
    return write_tensors(path, tensors, config.with_alone(look.predictor.sizes), card)


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
    config, stored, card = read_tensors(source, encoder=False)
    return write_tensors(path, {k: torch.from_numpy(v) for k, v in stored.items()}, config, card)
