"""Models by number: what a number stands for, which are there, and where the others are."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from stand_in import ROOT, assert_fails, runner

from sbtcodec.codec.codec import Codec
from sbtcodec.container import unpack
from sbtcodec.errors import InvalidFileError, ModelMismatchError, WeightsError
from sbtcodec.models.digest import canonical, pictures_digest, symbols_digest
from sbtcodec.models.registry import read_manifest, weights_dir, write_manifest
from sbtcodec.models.release import Release, load_release
from sbtcodec.models.weights_file import read_state
from sbtcodec.training.publish import add, keep_decoder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(monkeypatch, capsys)


def copy_of(weights: Path, folder: Path) -> Path:
    """A weights file of its own, to be taken into a folder of models."""
    folder.mkdir(exist_ok=True)
    target = folder / "new.safetensors"
    target.write_bytes(next(weights.glob("*.safetensors")).read_bytes())
    return target


@pytest.fixture
def folder(tiny_weights: Path, tmp_path: Path) -> Path:
    """A folder with the tiny model as number 3, whose decoder is there, and as 5, the default.

    Two numbers with the same digest: nothing keeps an author from that.
    """
    folder = tmp_path / "models"
    for number in (3, 5):
        add(folder, copy_of(tiny_weights, folder), number=number, name=f"tiny-{number}")
    keep_decoder(folder, 3)
    write_manifest(folder, replace(read_manifest(folder), retired={2: "0.7.1"}))
    return folder


def test_models_are_listed(run: Run, folder: Path) -> None:
    code, out, err = run("models", "--weights", folder)
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    digest = read_manifest(folder).entry(5).digest
    assert rows[0] == ["number", "name", "digest", "bytes", "abilities"]
    assert rows[1][:3] == ["3", "tiny-3", digest[:12]]
    assert rows[1][-1] == "decode"
    assert rows[2][-3:] == ["encode,", "decode", "(default)"]


def test_models_are_listed_for_machines(run: Run, folder: Path) -> None:
    code, out, _ = run("models", "--weights", folder, "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [m["number"] for m in told] == [3, 5]
    assert [m["abilities"] for m in told] == [["decode"], ["encode", "decode"]]
    assert [m["default"] for m in told] == [False, True]
    assert all((folder / m["file"]).stat().st_size == m["bytes"] for m in told)


def test_the_installed_models_are_listed_without_torch() -> None:
    script = "import sys; from sbtcodec.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    script += "print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, "models"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "(default)" in done.stdout
    assert done.stdout.endswith("False\n")


def test_a_missing_folder_of_models_is_told(run: Run, tmp_path: Path) -> None:
    assert_fails(
        run("models", "--weights", tmp_path), 7, "has no manifest.json, expected a folder of models"
    )


def test_the_message_names_the_version_that_has_a_model(folder: Path) -> None:
    manifest = read_manifest(folder)
    with pytest.raises(ModelMismatchError, match=r"model 2, .* has 3, 5; sbtcodec 0\.7\.1 is"):
        manifest.entry(2)
    with pytest.raises(ModelMismatchError, match="a newer sbtcodec has it"):
        manifest.entry(6)
    with pytest.raises(ModelMismatchError, match="no released sbtcodec has it"):
        manifest.entry(4)


def test_files_of_an_older_model_are_read_by_its_decoder(
    tiny_weights: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    add(tmp_path, copy_of(tiny_weights, tmp_path), number=3)
    older = Codec.load("cpu", weights=tmp_path)
    file = older.compress(photo, 40)
    add(tmp_path, copy_of(tiny_weights, tmp_path), number=5)
    keep_decoder(tmp_path, 3)
    newest = Codec.load("cpu", weights=tmp_path)
    assert unpack(newest.compress(photo, 40)).header.model == 5
    assert np.array_equal(newest.decode(file).rgb, older.decode(file).rgb)
    assert np.array_equal(newest.tokens_of(file).symbols, older.tokens_of(file).symbols)
    with pytest.raises(InvalidFileError, match="base layer"):  # the number is in the checks
        newest.decode(file[:2] + bytes([5]) + file[3:])
    with pytest.raises(ModelMismatchError, match="decoding alone"):
        Codec.load("cpu", model=3, weights=tmp_path).compress(photo)


def test_loaded_models_are_kept(
    folder: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[int | None] = []

    def load(number: int, folder: Path, *, encoder: bool) -> Release:
        loads.append(number)
        return load_release(number, folder, encoder=encoder)

    monkeypatch.setattr("sbtcodec.models.release.load_release", load)
    first = Codec.load("cpu", weights=folder)
    older = replace(first.tokenize(photo), model=3)
    for codec in (first, Codec.load("cpu", weights=folder)):
        codec.detokenize(older)
    assert codec.release is first.release
    assert loads == [5, 3]


def test_what_only_decodes_loads_half_and_takes_what_is_there(
    folder: Path, photo: NDArray[np.uint8]
) -> None:
    half = Codec.load("cpu", weights=folder, encoder=False)
    assert half.tokenizer.local_encoder is None
    with pytest.raises(ModelMismatchError, match="loaded with its encoder"):
        half.compress(photo)
    whole = Codec.load("cpu", weights=folder)
    data = whole.compress(photo)
    assert np.array_equal(half.decode(data).rgb, whole.decode(data).rgb)
    assert half.release.pictures_digest == whole.release.pictures_digest
    assert Codec.load("cpu", weights=folder, encoder=False).release is whole.release


def test_weights_that_changed_are_loaded_again(tiny_weights: Path, tmp_path: Path) -> None:
    add(tmp_path, copy_of(tiny_weights, tmp_path), number=1, name="a")
    before = Codec.load("cpu", weights=tmp_path).release
    add(tmp_path, copy_of(tiny_weights, tmp_path), number=1, name="b")
    manifest = read_manifest(tmp_path)
    write_manifest(
        tmp_path, replace(manifest, models=(replace(manifest.models[0], number=9),), default=9)
    )
    after = Codec.load("cpu", weights=tmp_path).release
    assert (before.number, after.number) == (1, 9)


def test_a_number_keeps_its_digest(folder: Path) -> None:
    manifest = read_manifest(folder)
    shipped = weights_dir()
    copy = folder / "new.safetensors"
    copy.write_bytes((shipped / read_manifest(shipped).models[-1].file).read_bytes())
    with pytest.raises(WeightsError, match="its files would be lost"):
        add(folder, copy, number=3)
    assert read_manifest(folder) == manifest
    assert add(folder, copy).name == "sbt-6.safetensors"  # a number of its own
    assert read_manifest(folder).default == 6


def test_a_retired_number_is_not_given_again(tiny_weights: Path, folder: Path) -> None:
    write_manifest(folder, replace(read_manifest(folder), retired={7: "1.0"}))
    shipped = weights_dir()
    copy = folder / "new.safetensors"
    copy.write_bytes((shipped / read_manifest(shipped).models[-1].file).read_bytes())
    assert add(folder, copy).name == "sbt-8.safetensors"


def test_a_manifest_that_lies_about_the_digest_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    models = tuple(replace(m, digest="00" * 32) for m in manifest.models)
    write_manifest(folder, replace(manifest, models=models))
    with pytest.raises(WeightsError, match="is not model 5"):
        Codec.load("cpu", weights=folder)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"default": 1}', '{"default": 1, "models": []}', '{"default": 1, "models": [{}]}'],
)
def test_a_damaged_manifest_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(WeightsError, match="reinstall sbtcodec"):
        Codec.load("cpu", weights=tmp_path)


# The digest


@pytest.fixture(scope="module")
def stored(tiny_weights: Path) -> tuple[Any, dict[str, NDArray[Any]]]:
    path = next(tiny_weights.glob("*.safetensors"))
    return read_state(path)[0], load_file(path)


def test_the_digest_covers_what_fixes_symbols_and_nothing_else(
    stored: tuple[Any, dict[str, NDArray[Any]]],
) -> None:
    config, tensors = stored
    symbols, pictures = symbols_digest(config, tensors), pictures_digest(config, tensors)
    covered, decoder = set(), set()
    for name, value in tensors.items():
        changed = tensors | {name: value + value.dtype.type(1)}
        if symbols_digest(config, changed) != symbols:
            covered.add(".".join(name.split(".")[: 2 if name.startswith("tokenizer") else 1]))
        if pictures_digest(config, changed) != pictures:
            decoder.add(".".join(name.split(".")[: 2 if name.startswith("tokenizer") else 1]))
    assert covered == {"prior", "scales", "tables", "tokenizer.predictor", "tokenizer.refiners"}
    assert decoder == covered | {"tokenizer.decoder"}


def test_the_digest_covers_the_sizes_that_give_tensors_their_meaning(
    stored: tuple[Any, dict[str, NDArray[Any]]],
) -> None:
    config, tensors = stored
    t = config.tokenizer
    found = {
        symbols_digest(replace(config, tokenizer=other), tensors)
        for other in (
            t,
            replace(t, heads=2 * t.heads),
            replace(t, groups=t.groups[::-1]),
            replace(t, levels=t.levels[::-1]),
        )
    }
    found.add(symbols_digest(replace(config, shapes=2), tensors))
    found.add(symbols_digest(replace(config, scale_signs=True), tensors))
    assert len(found) == 6
    assert symbols_digest(replace(config, tokenizer=replace(t, encoder=False)), tensors) in found


def test_the_digest_is_of_values_not_of_their_layout(
    stored: tuple[Any, dict[str, NDArray[Any]]],
) -> None:
    config, tensors = stored
    other = {name: np.asfortranarray(tensors[name]) for name in reversed(list(tensors))}
    other = {n: np.where(v == 0, -v, v) if v.dtype == np.float16 else v for n, v in other.items()}
    assert symbols_digest(config, other) == symbols_digest(config, tensors)
    with pytest.raises(ValueError, match="float64, expected"):
        symbols_digest(config, tensors | {"prior.x": np.zeros(1)})


def test_canonical_bytes_are_these() -> None:
    tensors = {"b": np.array([[1, -2]], np.int16), "a": np.array([-0.0, 1.5], np.float16)}
    expected = b"a\0float16\0" + bytes.fromhex("01000000 02000000 0000 003E")
    expected += b"b\0int16\0" + bytes.fromhex("02000000 01000000 02000000 0100 FEFF")
    assert b"".join(canonical(tensors)) == expected
