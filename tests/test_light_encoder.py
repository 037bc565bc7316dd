"""Files are encoded on onnxruntime as on torch, and torch is not imported for it."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sbtcodec.cli.common.shared_codec import SharedCodec
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.rate_control import compress_to_bpp, compress_to_score, compress_to_size
from sbtcodec.container import unpack
from sbtcodec.errors import ArgumentError, ImageError, ModelMismatchError, RateError, WeightsError
from sbtcodec.evaluation.metrics import psnr
from sbtcodec.image.conversion import as_picture
from sbtcodec.models.registry import weights_dir

pytest.importorskip("onnxruntime")

from sbtcodec.codec.light_codec import LightCodec
from sbtcodec.light import attention, encoding
from sbtcodec.light.encoding import EncodingNetworks
from sbtcodec.models.stored import read_tensors

WAYS = ({"quality": 0}, {"quality": 40}, {"quality": 90}, {"globals_only": True})
IMAGES = ("photo", "one pixel", "low", "large", "gray", "alpha")


@pytest.fixture(scope="module")
def light() -> LightCodec:
    return LightCodec(threads=2)


@pytest.fixture(scope="module")
def torch_codec() -> Codec:
    return Codec.load("cpu", precision="float32")


@pytest.fixture
def small(photo: np.ndarray) -> np.ndarray:
    return photo[40:85, 60:131]


@pytest.fixture
def image(request: pytest.FixtureRequest, photo: np.ndarray) -> np.ndarray:
    if request.param == "large":  # more pixels on a side than a block and than a tile
        return np.asarray(Image.fromarray(photo).resize((1330, 61)))
    alpha = np.linspace(-100, 255, photo.shape[1]).clip(0).astype(np.uint8)
    images = {
        "photo": photo,
        "one pixel": photo[:1, :1],
        "low": photo[50:67, 60:93],
        "gray": photo[:, :, 1],
        "alpha": np.dstack([photo, np.tile(alpha, (len(photo), 1))]),
    }
    return images[request.param]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def compare(light: LightCodec, codec: Codec, image: np.ndarray) -> None:
    """Tokens before and after they are quantised."""
    engine, networks = light.encoding_engine(), codec.networks
    found, expected = light.analyse(image), codec.analyse(image)
    assert relative_error(found.y, expected.y.numpy()) < 1e-3
    assert relative_error(found.z, expected.z.numpy()) < 1e-3
    pairs = [(engine.levels(found.z), networks.levels(expected.z).numpy())]
    for steps in (1, 3):
        fitted = networks.fitted_levels(expected.y, expected.z, steps).numpy()
        pairs.append((engine.fitted_levels(found.y, found.z, steps), fitted))
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape and ours.dtype == np.int64
        assert (ours == theirs).mean() > 0.999


@pytest.mark.parametrize("image", IMAGES, indirect=True)
def test_tokens_are_those_of_torch(
    light: LightCodec, torch_codec: Codec, image: np.ndarray
) -> None:
    compare(light, torch_codec, image)


def test_no_blocks_and_bands_show(
    light: LightCodec, torch_codec: Codec, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "ATTENTION_TOKENS", 30)
    monkeypatch.setattr(encoding, "COARSE_BLOCK", 8)
    monkeypatch.setattr(encoding, "FINE_BLOCK", 5)
    image = np.asarray(Image.fromarray(photo).resize((90, 1700)))  # more rows than a band has
    compare(light, torch_codec, image)
    found, expected = (codec.compress(image, 50) for codec in (light, torch_codec))
    assert len(found) == pytest.approx(len(expected), rel=0.005)


@pytest.mark.parametrize("how", WAYS, ids=str)
@pytest.mark.parametrize("image", IMAGES, indirect=True)
def test_files_are_as_good_as_those_of_torch(
    light: LightCodec, torch_codec: Codec, image: np.ndarray, how: dict
) -> None:
    found, expected = light.compress(image, **how), torch_codec.compress(image, **how)
    assert abs(len(found) - len(expected)) <= max(2, 0.005 * len(expected))
    assert replace(unpack(found).header, detail_layers=0) == replace(
        unpack(expected).header, detail_layers=0
    )
    rgb = as_picture(image, max_pixels=10**6).rgb
    wanted = torch_codec.decode(expected)
    for codec in (torch_codec, light):
        decoded = codec.decode(found)
        assert decoded.picture.grayscale == wanted.picture.grayscale
        assert (decoded.picture.alpha is None) == (image.ndim == 2 or image.shape[2] < 4)
        assert psnr(rgb, decoded.rgb) == pytest.approx(psnr(rgb, wanted.rgb), abs=0.02)


def test_a_coding_says_what_is_decoded(light: LightCodec, photo: np.ndarray) -> None:
    coding = light.code(light.analyse(photo), 40)
    assert np.array_equal(light.reconstruct(coding), light.decode(coding.data).rgb)


def test_sizes_rates_and_scores_are_reached(light: LightCodec, photo: np.ndarray) -> None:
    found = compress_to_size(light, photo, 900)
    assert 700 < len(found.data) <= 900
    found = compress_to_bpp(light, photo, 0.3)
    assert 8 * len(found.data) <= 0.3 * photo.shape[0] * photo.shape[1]
    found = compress_to_score(light, photo, psnr, 30)
    assert psnr(photo, light.decode(found.data).rgb) >= 30
    with pytest.raises(RateError, match="smallest file"):
        compress_to_size(light, photo, 10)


def test_a_model_of_other_sizes(tiny_weights, small: np.ndarray) -> None:
    codec = Codec.load("cpu", precision="float32", weights=tiny_weights)
    light = LightCodec(tiny_weights, threads=1)
    compare(light, codec, small)
    for how in WAYS:
        found, expected = light.compress(small, **how), codec.compress(small, **how)
        assert len(found) == pytest.approx(len(expected), rel=0.01)
        difference = light.decode(found).rgb.astype(int) - codec.decode(found).rgb
        assert np.abs(difference).max() <= 1


def test_wrong_requests_are_told(light: LightCodec, small: np.ndarray) -> None:
    for wrong in ({"quality": 101}, {"effort": 10}, {"max_pixels": 0}, {"globals_only": 2}):
        with pytest.raises(ArgumentError):
            light.compress(small, **wrong)
    with pytest.raises(ImageError):
        light.compress(small, max_pixels=5)
    with pytest.raises(ArgumentError, match="efforts above 3 need torch"):
        light.compress(small, 50, effort=4)


def test_models_that_only_decode_and_missing_weights_are_told(
    small: np.ndarray, tmp_path, light: LightCodec
) -> None:
    manifest = json.loads((weights_dir() / "manifest.json").read_text())
    decoding = [m for m in manifest["models"] if not m["encoder"]]
    alone = dict(manifest, default=decoding[0]["number"], models=decoding)
    (tmp_path / "manifest.json").write_text(json.dumps(alone))
    with pytest.raises(ModelMismatchError, match="for decoding alone"):
        LightCodec(tmp_path).compress(small)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match="cannot be read"):
        LightCodec(tmp_path).compress(small)
    config, stored, _ = read_tensors(Codec.load("cpu").release.path)
    key = "tokenizer.global_encoder.head.weight"
    for wrong, reason in (({}, f"have no {key}"), ({key: np.zeros((8, 7), np.float16)}, "choose")):
        given = {k: v for k, v in stored.items() if k != key} | wrong
        networks = EncodingNetworks(config.tokenizer, given, 1)
        y = np.zeros((1, config.tokenizer.local_channels, 2, 2), np.float32)
        with pytest.raises(WeightsError, match=reason):
            networks.global_tokens(y)


def test_the_graphs_are_valid(light: LightCodec) -> None:
    onnx = pytest.importorskip("onnx")
    networks = light.encoding_engine()._encoding
    names = [*encoding.GRAPHS]
    names += [
        f"{k}.{a}" for k in encoding.ADAPTER_GRAPHS for a in ("token_adapter", "alone_adapter")
    ]
    for name in names:
        found = onnx.load_from_string(networks._graph(name).model())
        for tensor in found.graph.initializer:  # which the checker would look for in a file
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            if not tensor.raw_data:
                tensor.raw_data = bytes(4 * int(np.prod(tensor.dims)))
        onnx.checker.check_model(found, full_check=True)


CODE = """
import sys
from sbtcodec.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
torch = any(name.partition(".")[0] == "torch" for name in sys.modules)
print(torch, "onnxruntime" in sys.modules)
"""


def imported(folder, *given: str) -> str:
    """Which of torch and onnxruntime the command `compress` imports."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, "compress", "--device", "cpu", "--force", *given],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_command_encodes_without_torch(photo: np.ndarray, tmp_path) -> None:
    for index in range(3):
        Image.fromarray(photo[: 100 + index]).save(tmp_path / f"{index}.png")
    for how in (
        ["--quality", "30"],
        ["--globals-only", "--effort", "0"],
        ["--size", "1kB", "--verify"],
        ["--bpp", "0.4"],
        ["--target", "psnr=28", "--precision", "float32"],
    ):
        assert imported(tmp_path, "0.png", "one.sbt", *how) == "False True", how
    assert imported(tmp_path, "0.png", "1.png", "2.png", "--out-dir", "out") == "False True"
    files = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in files] == ["0.sbt", "1.sbt", "2.sbt"]
    for index, path in enumerate(files):
        assert Codec.load("cpu").decode(path.read_bytes()).rgb.shape == (100 + index, 227, 3)


@pytest.mark.parametrize("how", [["--effort", "5"], ["--precision", "bfloat16"]], ids=str)
def test_the_command_takes_torch_where_it_is_needed(photo: np.ndarray, tmp_path, how) -> None:
    Image.fromarray(photo[:40, :50]).save(tmp_path / "small.png")
    assert imported(tmp_path, "small.png", *how) == "True False"


def test_torch_encodes_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for effort in range(10):
        kind = LightCodec if effort < 4 else Codec
        assert isinstance(SharedCodec("cpu").encoder_for(effort, 1), kind)
    assert isinstance(SharedCodec("cpu", "float32").encoder_for(3, 1), LightCodec)
    assert isinstance(SharedCodec("cpu", "bfloat16").encoder_for(3, 1), Codec)
    assert isinstance(SharedCodec("cpu").encoder_for(3, 2**25), Codec)
    shared = SharedCodec("cpu")
    assert shared.encoder_for(0, 1) is shared.decoder(1)
    with monkeypatch.context() as patch:
        patch.setattr("sbtcodec.cli.common.shared_codec.light_is_installed", lambda: False)
        assert isinstance(SharedCodec("cpu").encoder_for(3, 1), Codec)
    monkeypatch.setattr("sbtcodec.codec.light_codec.weights_dir", lambda: tmp_path)
    shared = SharedCodec("cpu")
    for _ in range(2):  # the second time it is known
        with pytest.raises(WeightsError) as told:
            shared.encoder_for(3, 1)
        assert shared.error is told.value
