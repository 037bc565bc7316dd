"""From a checkpoint to released weights: half precision, fitted tables, manifest."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sbtcodec.codec import Codec
from sbtcodec.entropy.coder import Indices, LayerEncoder, Symbols
from sbtcodec.entropy.detail import MAX_SYMBOL, TABLES
from sbtcodec.entropy.frequencies import Frequencies, gaussian_tables, normalise
from sbtcodec.image.files import write_atomically
from sbtcodec.image.pixels import load_image
from sbtcodec.model import ModelConfig
from sbtcodec.release import MANIFEST, export
from sbtcodec.training import checkpoint
from sbtcodec.training.data import photograph_paths

PRIOR_COUNT = 300.0  # symbols that the normal distribution counts for when tables are fitted
FIT_IMAGES = 60
FIT_QUALITIES = (5, 25, 45, 65, 90)


@contextmanager
def counted_symbols() -> Iterator[NDArray[np.int64]]:
    """Within the block, every coded detail symbol is counted: int64 [TABLES, MAX_SYMBOL + 1]."""
    counts = np.zeros((TABLES, MAX_SYMBOL + 1), dtype=np.int64)
    details = LayerEncoder.details

    def count(self: LayerEncoder, indices: Indices, q: Symbols) -> Symbols:
        coded = details(self, indices, q)
        np.add.at(counts, (indices, np.abs(coded)), 1)
        return coded

    LayerEncoder.details = count  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        LayerEncoder.details = details  # type: ignore[method-assign]


def write_manifest(folder: Path, number: int, name: str, file: str, sha256: str) -> None:
    """Make model `number` of `folder/manifest.json` this file, and the default."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text()) if path.is_file() else {"models": []}
    others = [e for e in manifest["models"] if e["number"] != number]
    entry = {"number": number, "name": name, "file": file, "sha256": sha256}
    models = sorted([*others, entry], key=lambda e: int(e["number"]))
    text = json.dumps({"default": number, "models": models}, indent=2) + "\n"
    write_atomically(path, text.encode(), force=True)


def publish(
    source: Path,
    folder: Path,
    *,
    number: int = 1,
    name: str | None = None,
    fit_on: Path | None = None,
    tables: list[Frequencies] | None = None,
) -> Path:
    """Write `folder/NAME.safetensors` from the averaged weights of a checkpoint.

    Args:
        source: a checkpoint of `sbtcodec train`.
        folder: the folder of released weights; made if missing.
        number: the model's number, which files carry.
        name: of the model; sbt-NUMBER if not given.
        fit_on: photographs on which to fit the distributions of detail symbols.
        tables: these distributions, where none are fitted; normal ones if not given. A model whose
            encoder alone was trained on keeps its number and its tables: files stay the same to it.

    Returns:
        Path of the weights.

    Raises:
        WeightsError: the checkpoint cannot be read.
        DatasetError: there are no photographs.
    """
    tensors, progress = checkpoint.load(source)
    state = {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}
    folder.mkdir(parents=True, exist_ok=True)
    name = name or f"sbt-{number}"
    path = folder / f"{name}.safetensors"
    card = {
        "steps": progress["step"],
        "minutes": round(progress["seconds"] / 60, 1),
        "recipe": progress["config"],
    }
    config = ModelConfig.from_json(progress["model"])
    sha256 = export(state, config, path, card=card, tables=tables)
    write_manifest(folder, number, name, path.name, sha256)
    if fit_on is not None:
        tables = fitted_tables(Codec.load("cpu", weights=folder, model=number), fit_on)
        sha256 = export(state, config, path, card=card, tables=tables)
        write_manifest(folder, number, name, path.name, sha256)
    return path


def fitted_tables(codec: Codec, photographs: Path) -> list[Frequencies]:
    """Distributions of detail symbols as observed, symmetric, held near the normal ones.

    Args:
        codec: the model, still with normal distributions.
        photographs: folder; FIT_IMAGES of them are compressed at FIT_QUALITIES.

    Raises:
        DatasetError: there are no photographs.
    """
    paths = photograph_paths(photographs)
    chosen = paths[:: max(1, len(paths) // FIT_IMAGES)]
    with counted_symbols() as observed:
        for path in tqdm(chosen, desc="fitting tables", disable=None):
            rgb = load_image(path).rgb
            for quality in FIT_QUALITIES:
                codec.compress(rgb, quality)
    fitted = []
    for counts, normal in zip(observed, gaussian_tables(), strict=True):
        upper = counts[: len(normal) // 2 + 1].astype(np.float64)
        both = np.concatenate([upper[:0:-1] / 2, upper[:1], upper[1:] / 2])
        fitted.append(normalise(both + PRIOR_COUNT * normal / normal.sum()))
    return fitted
