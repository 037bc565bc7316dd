"""Looks: weights files of other decoders, read, checked and refused."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import changed_look, put_look
from safetensors.torch import load_file, save_file

from sbtcodec.errors import ModelMismatchError, WeightsError
from sbtcodec.models.looks import add_look, kept_look, load_look, read_look, write_look
from sbtcodec.models.registry import read_manifest, write_manifest
from sbtcodec.models.release import Release, load_release
from sbtcodec.tokenizer.look import Look, look_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training import checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def folder(look_weights: Path, tmp_path: Path) -> Path:
    """A copy of the models, to be changed."""
    return Path(shutil.copytree(look_weights, tmp_path / "weights"))


@pytest.fixture
def release(folder: Path) -> Release:
    return load_release(folder=folder)


def test_a_look_comes_back_as_it_was_written_in_half_precision(release: Release, folder: Path):
    look = changed_look(release, finest_width=8, own_predictor=True)
    path = put_look(folder, release, look)
    assert path.name == f"{release.name}-vivid.safetensors"
    found = load_look(release)
    assert look.predictor is not None and found.predictor is not None
    assert (found.decoder.finest_width, found.predictor.sizes) == (8, look.predictor.sizes)
    for name, value in look.state_dict().items():
        assert torch.equal(found.state_dict()[name], value.half().float()), name
    stored = read_look(path, release.model.config.tokenizer)
    assert stored.number == release.number and stored.recipe == {"minutes": 1}
    assert {v.dtype for v in load_file(path).values()} == {torch.float16}
    (entry,) = read_manifest(folder).looks
    assert (entry.model, entry.name, entry.file) == (release.number, "vivid", path.name)


def test_a_look_changes_nothing_that_a_model_is_known_by(release: Release, tiny_weights: Path):
    plain = load_release(folder=tiny_weights)
    assert (plain.digest, plain.sha256) == (release.digest, release.sha256)
    assert plain.pictures_digest == release.pictures_digest
    with_look, without = read_manifest(release.folder), read_manifest(tiny_weights)
    assert replace(with_look, looks=()) == without
    assert "looks" not in json.loads((tiny_weights / "manifest.json").read_text())


def test_a_look_of_the_same_name_takes_the_place_of_the_one_before(release: Release, folder: Path):
    put_look(folder, release, changed_look(release, finest_width=0))
    assert len(read_manifest(folder).looks) == 1
    assert load_look(release).decoder.finest is None


@pytest.mark.skipif(os.name == "nt", reason="rights of files as POSIX has them")
def test_weights_can_be_read_by_whom_umask_lets(release: Release, tmp_path: Path):
    folder = tmp_path / "new"
    folder.mkdir()
    before = os.umask(0o022)
    try:
        write_look(folder / "look", changed_look(release), number=9, digest="ab")
        checkpoint.save(folder / "run.safetensors", torch.nn.Linear(2, 2), {}, [], {})
    finally:
        os.umask(before)
    for name in ("look", "run.safetensors"):
        assert (folder / name).stat().st_mode & 0o777 == 0o644
    assert sorted(p.name for p in folder.iterdir()) == ["look", "run.safetensors"]


def test_a_look_that_was_not_trained_shows_what_the_model_does(release: Release):
    tokenizer = release.model.tokenizer
    config = tokenizer.config
    look = look_like(tokenizer, 8, PredictorSizes.of(config).deeper(2, 1))
    y = torch.randn(1, config.local_channels, 4, 6)
    anchors, layers = release.anchor_weights(100)[None], torch.tensor([config.layers])
    with torch.no_grad():
        shown = look.decoder(y, anchors, layers)
        # the order of sums may differ with where weights lie in memory
        torch.testing.assert_close(shown, tokenizer.decoder(y, anchors, layers))
        assert look.predictor is not None
        z = torch.rand(1, len(config.levels), 2, 3) * 2 - 1
        predicted = tokenizer.predicted(z)[:, : config.coarse_channels]
        torch.testing.assert_close(look.predictor(z), predicted)


def test_looks_are_loaded_once(release: Release):
    assert kept_look(release, CPU) is kept_look(release, CPU)


def test_a_model_without_a_look_says_who_has_one(tiny_weights: Path, folder: Path):
    with pytest.raises(ModelMismatchError, match=r"no vivid look of model 1 .* have one: none"):
        load_look(load_release(folder=tiny_weights))
    release = load_release(folder=folder)
    with pytest.raises(ModelMismatchError, match="no soft look of model 1"):
        load_look(release, "soft")


def test_a_missing_or_damaged_look_is_told(release: Release, folder: Path):
    path = folder / read_manifest(folder).looks[0].file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="are damaged: SHA-256"):
        load_look(release)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_look(release)


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_what_holds_no_look_is_refused(release: Release, folder: Path, content: bytes):
    new = folder / "new.part"
    new.write_bytes(content)
    with pytest.raises(WeightsError, match="does not hold a look"):
        add_look(folder, new)
    with pytest.raises(WeightsError, match="does not hold a look"):
        add_look(folder, folder / "none")
    with pytest.raises(WeightsError, match="does not hold a look"):
        read_look(release.path, release.model.config.tokenizer)  # a model's own weights


def test_a_look_of_other_sizes_is_refused(release: Release, folder: Path):
    config, path = release.model.config.tokenizer, folder / "new.part"
    digest = release.digest.hex()
    other = replace(config, widths=(8, 8, 8))
    write_look(path, Look(other, 8), number=release.number, digest=digest)
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(WeightsError, match="does not hold a look of this model"):
        add_look(folder, path)
    sizes = PredictorSizes.of(config)
    look = Look(config, 0, sizes)
    assert look.predictor is not None
    look.predictor.sizes = replace(sizes, depth=sizes.depth + 1)  # which it is not
    write_look(path, look, number=release.number, digest=digest)
    with pytest.raises(WeightsError, match="does not hold a look of this model"):
        add_look(folder, path)
    assert (folder / "manifest.json").read_bytes() == before and path.is_file()


@pytest.mark.parametrize(
    "changes",
    [
        {"finest_width": "-1"},
        {"finest_width": '"a"'},
        {"predictor": "3"},
        {"predictor": '{"width": 8}'},
        {"predictor": '{"width": "wide"}'},
        {"model": "null"},
        {"recipe": "3"},
        {"digest": None},
    ],
)
def test_metadata_that_is_none_of_a_look_is_refused(
    release: Release, folder: Path, changes: dict[str, str | None]
):
    path = folder / "new.part"
    metadata = {
        "model": "1",
        "digest": '"ab"',
        "finest_width": "0",
        "recipe": "{}",
        "predictor": "null",
    } | changes
    look = Look(release.model.config.tokenizer)
    save_file(look.state_dict(), path, {k: v for k, v in metadata.items() if v is not None})
    with pytest.raises(WeightsError, match="does not hold a look"):
        add_look(folder, path)


def test_a_look_of_another_model_is_refused(release: Release, folder: Path):
    path, look = folder / "new.part", changed_look(release)
    write_look(path, look, number=release.number, digest="00" * 32)
    with pytest.raises(ModelMismatchError, match=r"files of a model 1 with digest 000000000000"):
        add_look(folder, path)
    write_look(path, look, number=77, digest=release.digest.hex())
    with pytest.raises(ModelMismatchError, match="77"):
        add_look(folder, path)


def test_a_manifest_that_gives_a_look_to_another_model_is_told(release: Release, folder: Path):
    path, look = folder / "new.part", changed_look(release)
    write_look(path, look, number=2, digest=release.digest.hex())
    manifest = read_manifest(folder)
    entry = manifest.looks[0]
    path.replace(folder / entry.file)
    sha256 = hashlib.sha256((folder / entry.file).read_bytes()).hexdigest()
    write_manifest(folder, replace(manifest, looks=(replace(entry, sha256=sha256),)))
    with pytest.raises(WeightsError, match="it shows files of model 2"):
        load_look(release)
