"""Files are decoded on onnxruntime as on torch, and torch is not imported for it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden import GOLDEN, pictures_folder
from PIL import Image

from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import InvalidFileError, ModelMismatchError, SbtError, WeightsError
from sbtcodec.models.registry import read_manifest, weights_dir

pytest.importorskip("onnxruntime")

from sbtcodec.codec.light_codec import LightCodec

FILES = sorted(GOLDEN.glob("*/*.sbt"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in FILES]


@pytest.fixture(scope="module")
def light() -> LightCodec:
    return LightCodec(threads=2)


def decode_both(light: LightCodec, data: bytes, **how) -> tuple:
    return light.decode(data, **how), Codec.load("cpu", precision="float32").decode(data, **how)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_golden_file_has_its_picture(light: LightCodec, path: Path) -> None:
    codec = Codec.load("cpu", precision="float32", model=int(path.parent.name))
    expected = np.asarray(Image.open(pictures_folder(codec) / f"{path.stem}.png")).astype(int)
    found = np.asarray(light.decode(path.read_bytes()).picture.to_image()).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize(
    "how",
    [
        {"layers": 0},
        {"layers": 2},
        {"crop": (37, 20, 50, 61)},
        {"scale": 4},
        {"crop": (64, 0, 100, 90), "scale": 2, "layers": 1},
    ],
    ids=str,
)
def test_parts_layers_and_reduced_pictures_are_those_of_torch(
    light: LightCodec, photo: np.ndarray, how: dict
) -> None:
    data = Codec.load("cpu").compress(photo, 60)
    found, expected = decode_both(light, data, **how)
    assert np.abs(found.rgb.astype(int) - expected.rgb).max() <= 1
    assert (found.layers, found.declared_layers) == (expected.layers, expected.declared_layers)


@pytest.mark.parametrize("at, part", [(0.1, True), (0.6, True), (0.6, False), (0.9, True)])
def test_files_that_were_cut_or_changed_are_told_alike(
    light: LightCodec, photo: np.ndarray, at: float, *, part: bool
) -> None:
    data = Codec.load("cpu").compress(photo, 60)
    place = int(at * len(data))
    changed = data[:place] + bytes([data[place] ^ 85]) + data[place + 1 :]
    for broken in (data[:place], changed):
        told = []
        for codec in (light, Codec.load("cpu", precision="float32")):
            try:
                found = codec.decode(broken, allow_partial=part)
                told.append((found.layers, found.notice))
            except SbtError as error:
                told.append((type(error), str(error)))
        assert told[0] == told[1]


def test_models_that_are_not_there_and_damaged_weights_are_told(
    light: LightCodec, photo: np.ndarray, tmp_path: Path
) -> None:
    data = Codec.load("cpu").compress(photo, 20)
    manifest = json.loads((weights_dir() / "manifest.json").read_text())
    only_old = dict(manifest, default=8, models=[m for m in manifest["models"] if m["number"] == 8])
    (tmp_path / "manifest.json").write_text(json.dumps(only_old))
    with pytest.raises(ModelMismatchError, match="model 9"):
        LightCodec(tmp_path).decode(data)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="cannot be read"):
        LightCodec(tmp_path).decode(data)
    entry = read_manifest(tmp_path).entry(9)
    whole = bytearray((weights_dir() / entry.file).read_bytes())
    whole[-100] ^= 1
    (tmp_path / entry.file).write_bytes(whole)
    with pytest.raises(WeightsError, match="damaged"):
        LightCodec(tmp_path).decode(data)
    with pytest.raises(InvalidFileError):
        light.decode(b"nonsense")


def test_the_command_decodes_without_torch(photo: np.ndarray, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.sbt" for i in range(3)]
    for quality, path in zip((0, 40, 90), paths, strict=True):
        path.write_bytes(Codec.load("cpu").compress(photo, quality))
    code = """
import sys
from sbtcodec.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "onnxruntime" in sys.modules
assert not any(name.partition(".")[0] == "torch" for name in sys.modules), "torch"
"""
    for given in (["0.sbt", "one.png"], ["0.sbt", "1.sbt", "2.sbt", "--out-dir", "out"]):
        done = subprocess.run(
            [sys.executable, "-c", code, "decompress", "--device", "cpu", *given],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png"]


def test_torch_decodes_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(SharedCodec("cpu").decoder(1), LightCodec)
    assert isinstance(SharedCodec("cpu", "float32").decoder(1), LightCodec)
    assert isinstance(SharedCodec("cpu", "bfloat16").decoder(1), Codec)
    assert isinstance(SharedCodec("cpu").decoder(2**25), Codec)
    card = Path(__file__)  # stands for the device of a card
    monkeypatch.setattr("sbtcodec.cli.common.shared_codec.NVIDIA", card)
    assert isinstance(SharedCodec("auto").decoder(1), Codec)
    assert isinstance(SharedCodec("cpu").decoder(1), LightCodec)
    monkeypatch.setattr("sbtcodec.cli.common.shared_codec.light_is_installed", lambda: False)
    assert isinstance(SharedCodec("cpu").decoder(1), Codec)
