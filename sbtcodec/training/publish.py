"""From a checkpoint to released weights: half precision, fitted tables, manifest."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sbtcodec.codec.codec import Codec
from sbtcodec.entropy.coder import Indices, LayerEncoder, Symbols
from sbtcodec.entropy.frequencies import Frequencies, gaussian_tables, normalise
from sbtcodec.entropy.units import MAX_SYMBOL, TABLES
from sbtcodec.errors import WeightsError
from sbtcodec.image.pixels import load_image
from sbtcodec.models.export import export, export_decoder
from sbtcodec.models.registry import MANIFEST, Entry, Manifest, read_manifest, write_manifest
from sbtcodec.models.stored import digests
from sbtcodec.training import checkpoint
from sbtcodec.training.data import photograph_paths

PRIOR_COUNT = 300.0  # symbols that the normal distribution counts for when tables are fitted
FIT_IMAGES = 60
FIT_QUALITIES = (5, 25, 45, 65, 90)


@contextmanager
def counted_symbols(tables: int) -> Iterator[NDArray[np.int64]]:
    """Within the block, every coded detail symbol is counted: int64 [tables, MAX_SYMBOL + 1]."""
    counts = np.zeros((tables, MAX_SYMBOL + 1), dtype=np.int64)
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


def add(folder: Path, weights: Path, *, number: int | None = None, name: str | None = None) -> Path:
    """Take a weights file into a folder of models, as its default.

    Args:
        folder: of the manifest, which is made if missing.
        weights: the file, on the same disk as the folder; it is moved.
        number: of the model; if not given, that of a model with the same digest, else a new one.
        name: of the model, and of its file; sbt-NUMBER if not given.

    Returns:
        Where the file is now.

    Raises:
        WeightsError: the number stands for another digest already: its files could not be read.
    """
    manifest = Manifest(1, (), {})
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
    digest = digests(weights)[0].hex()
    taken = {m.number: m.digest for m in manifest.models}
    if number is None:
        same = [n for n, other in taken.items() if other == digest]
        number = same[0] if same else 1 + max([*taken, *manifest.retired], default=0)
    if taken.get(number, digest) != digest:
        raise WeightsError(
            f"model {number} of {folder} has the digest {taken[number][:12]}..., these weights"
            f" {digest[:12]}...: its files would be lost; choose another number, or none"
        )
    name = name or f"sbt-{number}"
    path = folder / f"{name}.safetensors"
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.replace(path)
    others = tuple(m for m in manifest.models if m.number != number)
    models = (*others, Entry(number, name, path.name, sha256, digest))
    write_manifest(folder, replace(manifest, default=number, models=models))
    return path


def keep_decoder(folder: Path, number: int) -> Path:
    """Keep of a model what files need to be read for ever, and remove its encoder.

    Args:
        folder: of the manifest.
        number: of the model, which is not the default.

    Returns:
        The new weights file; the old one is gone.

    Raises:
        WeightsError: the model is the default one, or its weights cannot be read.
        ModelMismatchError: it is not there.
    """
    manifest = read_manifest(folder)
    entry = manifest.entry(number)
    if number == manifest.default:
        raise WeightsError(f"model {number} is the default, which encodes; make another one that")
    source, path = folder / entry.file, folder / f"{entry.name}-decoder.safetensors"
    sha256 = export_decoder(source, path)
    half = replace(entry, file=path.name, sha256=sha256, encoder=False)
    others = tuple(m for m in manifest.models if m.number != number)
    write_manifest(folder, replace(manifest, models=(*others, half)))
    if source != path:
        source.unlink()
    return path


def publish(
    source: Path,
    folder: Path,
    *,
    number: int | None = None,
    name: str | None = None,
    fit_on: Path | None = None,
    tables: list[Frequencies] | None = None,
    like: Path | None = None,
) -> Path:
    """Write `folder/NAME.safetensors` from the averaged weights of a checkpoint.

    Args:
        source: a checkpoint of `sbtcodec train`.
        folder: the folder of released weights; made if missing.
        number: the model's number, which files carry; see `add`.
        name: of the model; sbt-NUMBER if not given.
        fit_on: photographs on which to fit the distributions of detail symbols.
        tables: these distributions, where none are fitted; normal ones if not given.
        like: released weights whose tables are kept, where only the encoder or the decoder was
            trained on.

    Returns:
        Path of the weights.

    Raises:
        WeightsError: the checkpoint cannot be read, or the number stands for another model.
        DatasetError: there are no photographs.
    """
    tensors, progress = checkpoint.load(source)
    config, state, recipe = checkpoint.averaged_weights(tensors, progress)
    card = {
        "steps": progress["step"],
        "minutes": round(progress["seconds"] / 60, 1),
        "recipe": recipe,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sbtcodec-", dir=folder) as place:
        path = Path(place, "model.safetensors")
        export(state, config, path, card=card, tables=tables, like=like)
        if fit_on is not None:
            add(Path(place), path)
            codec = Codec.load("cpu", precision="float32", weights=Path(place))
            tables = fitted_tables(codec, fit_on)
            export(state, config, path, card=card, tables=tables)
        return add(folder, path, number=number, name=name)


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
    shapes = codec.release.model.config.shapes
    with counted_symbols(shapes * TABLES) as observed:
        for path in tqdm(chosen, desc="fitting tables", disable=None):
            rgb = load_image(path).rgb
            for quality in FIT_QUALITIES:
                codec.compress(rgb, quality)
    fitted = []
    for counts, normal in zip(observed, gaussian_tables(shapes), strict=True):
        upper = counts[: len(normal) // 2 + 1].astype(np.float64)
        both = np.concatenate([upper[:0:-1] / 2, upper[:1], upper[1:] / 2])
        fitted.append(normalise(both + PRIOR_COUNT * normal / normal.sum()))
    return fitted
