"""Networks of their own for pictures of global tokens alone: same files, and other pictures."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import changed_look, put_look
from numpy.typing import NDArray
from PIL import Image

from sbtcodec.codec.codec import Codec
from sbtcodec.codec.light_codec import LightCodec
from sbtcodec.errors import WeightsError
from sbtcodec.models.export import export_alone, export_decoder
from sbtcodec.models.registry import read_manifest
from sbtcodec.models.release import load_release
from sbtcodec.models.stored import digests
from sbtcodec.rdo.token_search import searched_tokens
from sbtcodec.tokenizer.look import Look, alone_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training import checkpoint
from sbtcodec.training.publish import add
from sbtcodec.training.vivid_run import train_vivid
from sbtcodec.training.vivid_stage import PRESETS, export_networks
from sbtcodec.training.vivid_state import VividTraining, begun

RGB = NDArray[np.uint8]
CPU = torch.device("cpu")
RECIPE = VividTraining(
    **{**vars(PRESETS["alone"]), "batch": 2, "side": 64, "blocks": 1, "refining": 1}
)


@pytest.fixture(scope="module")
def alone_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model, which has got such networks, deeper than its own."""
    folder = tmp_path_factory.mktemp("alone") / "weights"
    shutil.copytree(tiny_weights, folder)
    release = load_release(folder=folder)
    tokenizer = release.model.tokenizer
    look = alone_like(tokenizer, PredictorSizes.of(tokenizer.config).deeper(3, 1))
    assert look.predictor is not None
    torch.manual_seed(5)
    with torch.no_grad():
        for value in (*look.predictor.parameters(), *look.decoder.parameters()):
            value.add_(0.05 * torch.randn_like(value) * (value.std() if value.numel() > 1 else 1))
        torch.nn.init.normal_(look.predictor.refiner.head.weight, std=0.05)
    export_alone(release.path, look, folder / "new", recipe={"minutes": 1})
    add(folder, folder / "new", number=release.number, name="tiny.1")
    return folder


@pytest.fixture(scope="module")
def alone_codec(alone_weights: Path) -> Codec:
    return Codec.load("cpu", precision="float32", weights=alone_weights)


@pytest.fixture(scope="module")
def plain_codec(tiny_weights: Path) -> Codec:
    return Codec.load("cpu", precision="float32", weights=tiny_weights)


@pytest.fixture(scope="module")
def image() -> RGB:
    noise = np.random.default_rng(3).integers(0, 256, (13, 10, 3), np.uint8)
    made = Image.fromarray(noise).resize((330, 450), Image.Resampling.BICUBIC)
    return np.asarray(made)


@pytest.fixture(scope="module")
def bare(plain_codec: Codec, image: RGB) -> bytes:
    return plain_codec.compress(image, globals_only=True)


def test_files_are_those_of_the_model_and_only_pictures_without_details_are_others(
    alone_codec: Codec, plain_codec: Codec, image: RGB, bare: bytes
) -> None:
    assert alone_codec.compress(image, globals_only=True) == bare
    detailed = plain_codec.compress(image, 40)
    assert alone_codec.compress(image, 40) == detailed
    assert np.array_equal(alone_codec.decode(detailed).rgb, plain_codec.decode(detailed).rgb)
    for file, layers in ((bare, None), (detailed, 0)):
        ours, before = (c.decode(file, layers).rgb for c in (alone_codec, plain_codec))
        assert np.abs(ours.astype(int) - before).mean() > 1


def test_a_model_keeps_its_number_and_gets_another_digest_of_pictures(
    alone_weights: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    ours, before = load_release(folder=alone_weights), load_release(folder=tiny_weights)
    assert (ours.number, ours.digest) == (before.number, before.digest)
    assert ours.pictures_digest != before.pictures_digest
    export_decoder(ours.path, tmp_path / "half")
    assert digests(tmp_path / "half") == (ours.digest, ours.pictures_digest)


def test_they_make_the_picture_of_the_levels(alone_codec: Codec, bare: bytes, image: RGB) -> None:
    tokenizer = alone_codec.release.model.tokenizer
    own = tokenizer.alone
    assert own is not None and own.predictor is not None
    levels = torch.from_numpy(alone_codec.tokens_of(bare).levels).permute(2, 0, 1)[None]
    with torch.no_grad():
        y_hat = own.predictor(tokenizer.fsq.to_values(levels.float()))
        anchors, layers = alone_codec.release.anchor_weights(0)[None], torch.tensor([0])
        x_hat = own.decoder(y_hat, anchors, layers)
    expected = (255 * x_hat[0]).round().clamp(0, 255).permute(1, 2, 0).numpy()
    shown = alone_codec.decode(bare).rgb
    assert np.abs(expected[: image.shape[0], : image.shape[1]] - shown).max() <= 1


def test_pixels_without_torch_are_those_of_torch(
    alone_codec: Codec, alone_weights: Path, image: RGB, bare: bytes
) -> None:
    pytest.importorskip("onnxruntime")
    light = LightCodec(alone_weights)
    for data in (bare, alone_codec.compress(image, 40)):
        ours, others = (c.decode(data).rgb.astype(int) for c in (light, alone_codec))
        assert np.abs(ours - others).max() <= 1


@pytest.mark.parametrize("light", [False, True])
def test_a_crop_is_that_part_of_the_whole(
    alone_codec: Codec, alone_weights: Path, bare: bytes, light: bool
) -> None:
    if light:
        pytest.importorskip("onnxruntime")
    codec: Any = LightCodec(alone_weights) if light else alone_codec
    whole = codec.decode(bare).rgb.astype(int)
    part = codec.decode(bare, crop=(100, 130, 60, 50)).rgb
    assert np.abs(whole[130:180, 100:160] - part).max() <= 1


def test_decoding_in_blocks_gives_the_whole(
    alone_codec: Codec, bare: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = alone_codec.decode(bare).rgb.astype(int)
    monkeypatch.setattr("sbtcodec.latents.estimate.SPREAD_BLOCK", 8)
    monkeypatch.setattr("sbtcodec.latents.bands.BAND_LATENTS", 6)
    assert np.abs(whole - alone_codec.decode(bare).rgb).max() <= 1


def test_a_look_is_mixed_with_what_they_show(
    alone_weights: Path, bare: bytes, tmp_path: Path
) -> None:
    for own_predictor in (False, True):
        folder = Path(shutil.copytree(alone_weights, tmp_path / f"{own_predictor}"))
        release = load_release(folder=folder)
        put_look(folder, release, changed_look(release, own_predictor=own_predictor))
        codec = Codec.load("cpu", precision="float32", weights=folder)
        faithful, half, vivid = (codec.decode(bare, realism=r).rgb for r in (0, 0.5, 1))
        assert np.abs(faithful.astype(int) - vivid).mean() > 1
        assert np.abs(half - (faithful.astype(float) + vivid) / 2).max() <= 1.001


def test_a_search_for_tokens_sees_what_they_show(
    alone_codec: Codec, plain_codec: Codec, image: RGB
) -> None:
    crop = np.ascontiguousarray(image[:128, :128])
    squared = {}
    for codec in (alone_codec, plain_codec):
        levels = codec.networks.levels(codec.networks.analyse(crop)[1])
        found = searched_tokens(codec.release, crop, levels, 3, CPU)
        own = alone_codec.release.model.tokenizer
        with torch.no_grad():
            values = own.fsq.to_values(found.float())
            assert own.alone is not None
            anchors = alone_codec.release.anchor_weights(0)[None]
            x_hat = own.alone.decoder(own.predicted_alone(values), anchors, torch.tensor([0]))
        error = 255 * x_hat[0].permute(1, 2, 0).numpy().clip(0, 1) - crop
        squared[codec] = float(np.square(error).mean())
    assert squared[alone_codec] < squared[plain_codec]


def test_other_training_starts_without_them(alone_weights: Path, tiny_weights: Path) -> None:
    ours, before = (
        checkpoint.weights_of(load_release(folder=folder).path)
        for folder in (alone_weights, tiny_weights)
    )
    assert ours.config == before.config
    assert ours.state.keys() == before.state.keys()


def test_they_start_as_the_model_or_as_what_it_has(alone_codec: Codec, plain_codec: Codec) -> None:
    z = torch.rand(1, len(plain_codec.release.model.config.tokenizer.levels), 2, 3) * 2 - 1
    told = plain_codec.release.anchor_weights(0)[None], torch.tensor([0])
    for codec in (alone_codec, plain_codec):
        tokenizer = codec.release.model.tokenizer
        depths = (3, 1) if tokenizer.alone else (2, 2)
        look = alone_like(tokenizer, PredictorSizes.of(tokenizer.config).deeper(*depths))
        assert look.predictor is not None
        decoder = tokenizer.alone.decoder if tokenizer.alone else tokenizer.decoder
        with torch.no_grad():
            y_hat = tokenizer.predicted_alone(z)
            torch.testing.assert_close(
                look.decoder(look.predictor(z), *told), decoder(y_hat, *told)
            )


def test_a_run_gives_the_model_its_networks_and_the_model_another_name(
    tiny_weights: Path, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_weights, tmp_path / "weights"))
    release = load_release(folder=folder)
    run = train_vivid(
        RECIPE, release, data=photographs, trunk=trunk_file, out=tmp_path / "run", steps=12
    )
    for name in ("tiny.1", "tiny.2"):
        made = export_networks(run, folder)
        assert made.name == f"{name}.safetensors"
        assert [m.name for m in read_manifest(folder).models] == [name]
    assert sorted(p.name for p in folder.glob("*.safetensors")) == ["tiny.2.safetensors"]
    after = load_release(folder=folder)
    tensors, progress = checkpoint.load(run)
    assert after.model.tokenizer.alone is not None and progress["step"] == 12
    for name, value in after.model.tokenizer.alone.state_dict().items():
        assert torch.equal(value, tensors[f"ema.{name}"].half().float()), name


def test_only_such_networks_become_part_of_a_model(
    tiny_weights: Path, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_weights, tmp_path / "weights"))
    release = load_release(folder=folder)
    recipe = VividTraining(**{**vars(RECIPE), "alone_share": 0.5})
    run = train_vivid(recipe, release, data=photographs, trunk=trunk_file, out=tmp_path, steps=1)
    with pytest.raises(WeightsError, match="not of networks for pictures of global tokens alone"):
        export_networks(run, folder)
    assert load_release(folder=folder).path == folder / release.path.name


def test_no_discriminator_is_trained_where_none_has_a_say(tiny_weights: Path) -> None:
    run = begun(RECIPE, load_release(folder=tiny_weights), (), CPU)
    assert run.discriminator is None and list(run.networks) == ["look"]
    assert isinstance(run.look.model, Look)
    assert run.look.model.decoder.finest is None
