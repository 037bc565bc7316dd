"""Files made once decode for ever: symbols to the bit, pixels within one level."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import plain_reader
import pytest
import torch
from golden import GOLDEN, SYMBOLS, pictures_folder, pixels_of, symbols_of
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from sbtcodec.codec.codec import Codec
from sbtcodec.container import unpack
from sbtcodec.entropy.coder import Indices
from sbtcodec.entropy.frequencies import gaussian_tables, normalise
from sbtcodec.errors import ModelMismatchError
from sbtcodec.latents.symbols import TileSymbols
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.export import export
from sbtcodec.models.registry import Entry, read_manifest, weights_dir, write_manifest
from sbtcodec.models.stored import digests
from sbtcodec.models.weights_file import read_state
from sbtcodec.training.config import MODELS as TRAINING_MODELS
from sbtcodec.training.publish import add, keep_decoder

MODELS = read_manifest(weights_dir()).models
FILES = sorted(GOLDEN.glob("*/*.sbt"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in FILES]


def codec_of(path: Path) -> Codec:
    return Codec.load("cpu", precision="float32", model=int(path.parent.name))


def assert_golden(codec: Codec, path: Path) -> None:
    """The file has its symbols and its picture."""
    known = json.loads((path.parent / SYMBOLS).read_text())
    data = path.read_bytes()
    assert symbols_of(codec, data) == known[path.stem]
    expected = np.asarray(Image.open(pictures_folder(codec) / f"{path.stem}.png")).astype(int)
    found = pixels_of(codec, data)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_golden_file_has_its_symbols_and_its_picture(path: Path) -> None:
    assert_golden(codec_of(path), path)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_in_bfloat16_a_golden_file_has_its_symbols_and_nearly_its_picture(path: Path) -> None:
    codec = Codec.load("cpu", precision="bfloat16", model=int(path.parent.name))
    data = path.read_bytes()
    assert symbols_of(codec, data) == json.loads((path.parent / SYMBOLS).read_text())[path.stem]
    whole = pixels_of(codec_of(path), data).astype(int)
    assert np.abs(pixels_of(codec, data) - whole).mean() < 1


@pytest.mark.parametrize("model", MODELS, ids=[m.name for m in MODELS])
def test_every_released_model_has_golden_files_of_all_kinds(model: Entry) -> None:
    files = [path for path in FILES if path.parent.name == str(model.number)]
    containers = [unpack(path.read_bytes()) for path in files]
    layers = Codec.load("cpu", model=model.number).tokenizer.config.layers
    assert {c.header.detail_layers for c in containers} == set(range(layers + 1))
    assert {len(c.header.tiles) > 1 for c in containers} == {False, True}
    assert {c.header.grayscale for c in containers} == {False, True}
    assert any(chunk.kind == "ALPH" for c in containers for chunk in c.chunks)


def plain_model(codec: Codec, weights: Path) -> plain_reader.Model:
    """The integers of a model as the reader takes them."""
    config, t = codec.release.model.config, codec.tokenizer.config
    sizes = {"levels": t.levels, "groups": t.groups, "heads": t.heads, "shapes": config.shapes}
    sizes["signs"] = config.scale_signs
    return plain_reader.Model(weights, sizes)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_the_specification_is_enough_to_read_the_symbols(path: Path) -> None:
    codec, data = codec_of(path), path.read_bytes()
    entry = read_manifest(weights_dir()).entry(codec.release.number)
    model = plain_model(codec, weights_dir() / entry.file)
    assert model.digest.hex() == entry.digest
    levels, symbols = plain_reader.read(data, model)
    expected = codec.tokens_of(data)
    assert np.array_equal(levels, expected.levels)
    assert np.array_equal(symbols, expected.symbols)


def test_tables_of_several_shapes_are_read_likewise(tmp_path: Path, photo: np.ndarray) -> None:
    torch.manual_seed(5)
    config = replace(TRAINING_MODELS["tiny"], shapes=3)
    model = CodecModel(config)
    for head in model.scales.heads:
        torch.nn.init.normal_(head.bias[len(head.bias) // 2 :], 0.25, 0.3)
    tables = gaussian_tables(3)
    for index in range(64, len(tables)):  # flatter ones, so that each shape is another one
        tables[index] = normalise(tables[index].astype(float) ** (1 - 0.2 * (index // 64)))
    state = {k: v.detach() for k, v in model.named_parameters()}
    export(state, config, tmp_path / "new", card={}, tables=tables)
    weights = add(tmp_path, tmp_path / "new")
    codec = Codec.load("cpu", weights=tmp_path)
    shapes = set()
    indices = TileSymbols.tables

    def spy(tile: TileSymbols, step: int) -> Indices:
        found = indices(tile, step)
        shapes.update((found // 64).tolist())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TileSymbols, "tables", spy)
        data = codec.compress(photo[:90, :100], 70)
    assert shapes == {0, 1, 2}
    levels, symbols = plain_reader.read(data, plain_model(codec, weights))
    expected = codec.tokens_of(data)
    assert np.array_equal(levels, expected.levels)
    assert np.array_equal(symbols, expected.symbols)
    assert codec.decompress(data).size == (100, 90)


def exported_again(weights: Path, path: Path) -> Path:
    """Another export of the same decoder, whose encoder is another."""
    with safe_open(weights, "pt") as file:
        metadata = dict(reversed(list(file.metadata().items())))
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    torch.manual_seed(1)
    for key, value in tensors.items():
        if key.startswith("tokenizer.local_encoder."):
            tensors[key] = (value.float() + 0.01 * torch.randn(value.shape)).half()
        elif value.dtype == torch.float16:
            tensors[key] = torch.where(value == 0, -value, value)  # as averaging leaves them
    save_file(tensors, path, metadata | {"card": '{"note": "another"}'})
    return path


@pytest.fixture(scope="module")
def another_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the default model, exported again with another encoder."""
    folder = tmp_path_factory.mktemp("again")
    manifest = read_manifest(weights_dir())
    weights = weights_dir() / manifest.entry(manifest.default).file
    add(folder, exported_again(weights, folder / "new"), number=manifest.default, name="again")
    return folder


def test_another_export_of_the_same_decoder_reads_every_file(another_export: Path) -> None:
    codec = Codec.load("cpu", precision="float32", weights=another_export)
    assert codec.release.sha256 != Codec.load("cpu").release.sha256
    for path in FILES:
        if path.parent.name == str(codec.release.number):
            assert_golden(codec, path)


def test_files_of_either_encoder_decode_with_the_other(
    another_export: Path, codec: Codec, photo: np.ndarray
) -> None:
    other = Codec.load("cpu", weights=another_export)
    mine, its = codec.compress(photo, 20), other.compress(photo, 20)
    assert mine != its
    for data in (mine, its):
        assert symbols_of(codec, data) == symbols_of(other, data)
        assert np.array_equal(codec.decode(data).rgb, other.decode(data).rgb)


def test_the_decoders_half_reads_every_file_and_makes_none(tmp_path: Path) -> None:
    manifest = read_manifest(weights_dir())
    entry = manifest.entry(manifest.default)
    shutil.copy(weights_dir() / entry.file, tmp_path)
    other = replace(entry, number=255, file="none")
    write_manifest(tmp_path, replace(manifest, default=255, models=(entry, other)))
    half = keep_decoder(tmp_path, entry.number)
    assert half.stat().st_size < min(24_000_000, 0.7 * (weights_dir() / entry.file).stat().st_size)
    assert not (tmp_path / entry.file).exists()
    assert digests(half) == digests(weights_dir() / entry.file)
    codec = Codec.load("cpu", precision="float32", model=entry.number, weights=tmp_path)
    for path in FILES:
        if path.parent.name == str(entry.number):
            assert_golden(codec, path)
    with pytest.raises(ModelMismatchError, match="decoding alone"):
        codec.compress(np.zeros((40, 40, 3), np.uint8))


def test_integers_survive_reading_and_exporting(codec: Codec, tmp_path: Path) -> None:
    weights = weights_dir() / read_manifest(weights_dir()).models[-1].file
    config, state, _ = read_state(weights)
    export(state, config, tmp_path / "again", card={}, like=weights)
    assert digests(tmp_path / "again") == digests(weights)


def test_deeper_networks_that_see_signs_and_fine_channels_are_read_likewise(
    tmp_path: Path, photo: np.ndarray
) -> None:
    torch.manual_seed(6)
    tiny = TRAINING_MODELS["tiny"]
    tokenizer = replace(
        tiny.tokenizer,
        refine_depth=2,
        local_channels=22,
        groups=(2, 2, 4, 8, 6),
        fine_channels=6,
    )
    config = replace(tiny, tokenizer=tokenizer, prior_depth=3, scale_depth=2, scale_signs=True)
    model = CodecModel(config)
    for name, p in model.named_parameters():
        if ".deeper." in name and p.ndim > 1:  # which start without effect
            torch.nn.init.normal_(p, 0, 0.3)
    state = {k: v.detach() for k, v in model.named_parameters()}
    export(state, config, tmp_path / "new", card={})
    weights = add(tmp_path, tmp_path / "new")
    codec = Codec.load("cpu", weights=tmp_path)
    data = codec.compress(photo[:90, :100], 70)
    reader = plain_model(codec, weights)
    assert reader.digest == codec.release.digest
    levels, symbols = plain_reader.read(data, reader)
    expected = codec.tokens_of(data)
    assert (expected.symbols < 0).any()
    assert expected.symbols[:, :, 16:].any()
    assert np.array_equal(levels, expected.levels)
    assert np.array_equal(symbols, expected.symbols)
