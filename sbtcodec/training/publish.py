"""From a checkpoint to released weights: half precision, fitted tables, manifest."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sbtcodec.entropy.detail import TABLES
from sbtcodec.entropy.frequencies import Frequencies, gaussian_tables, normalise
from sbtcodec.model import ModelConfig
from sbtcodec.release import MANIFEST, export
from sbtcodec.training import checkpoint

PRIOR_COUNT = 300.0  # symbols that the normal distribution counts for when tables are fitted


def write_manifest(folder: Path, number: int, name: str, file: str, sha256: str) -> None:
    """Make model `number` of `folder/manifest.json` this file, and the default."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text()) if path.is_file() else {"models": []}
    others = [e for e in manifest["models"] if e["number"] != number]
    entry = {"number": number, "name": name, "file": file, "sha256": sha256}
    models = sorted([*others, entry], key=lambda e: int(e["number"]))
    path.write_text(json.dumps({"default": number, "models": models}, indent=2) + "\n")


def publish(
    source: Path,
    folder: Path,
    *,
    number: int = 1,
    tables: list[Frequencies] | None = None,
) -> Path:
    """Write `folder/sbt-NUMBER.safetensors` from the averaged weights of a checkpoint.

    Args:
        source: a checkpoint of `sbtcodec train`.
        folder: the folder of released weights; made if missing.
        number: the model's number, which files carry.
        tables: distributions of detail symbols; normal ones if not given.

    Returns:
        Path of the weights.

    Raises:
        WeightsError: the checkpoint cannot be read.
    """
    tensors, progress = checkpoint.load(source)
    state = {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}
    folder.mkdir(parents=True, exist_ok=True)
    name = f"sbt-{number}"
    path = folder / f"{name}.safetensors"
    card = {
        "steps": progress["step"],
        "minutes": round(progress["seconds"] / 60, 1),
        "token_weight": progress["token_weight"],
        "recipe": progress["config"],
    }
    config = ModelConfig.from_json(progress["model"])
    sha256 = export(state, config, path, card=card, tables=tables)
    write_manifest(folder, number, name, path.name, sha256)
    return path


def fitted_tables(
    samples: Sequence[tuple[NDArray[np.uint8], NDArray[np.int32]]],
) -> list[Frequencies]:
    """Distributions of detail symbols as observed, symmetric, held near the normal ones.

    Args:
        samples: (table indices [n], symbols [n]) of coded photographs.
    """
    fitted = []
    indices = np.concatenate([i for i, _ in samples])
    magnitudes = np.abs(np.concatenate([q for _, q in samples]))
    for table, normal in enumerate(gaussian_tables()):
        half = len(normal) // 2
        counts = np.bincount(magnitudes[indices == table], minlength=half + 1)[: half + 1]
        both = np.concatenate([counts[:0:-1] / 2, counts[:1], counts[1:] / 2])
        fitted.append(normalise(both + PRIOR_COUNT * (normal / normal.sum())))
    assert len(fitted) == TABLES
    return fitted
