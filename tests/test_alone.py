"""Networks of their own for pictures of global tokens alone: same files, and other pictures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import changed_look, put_look
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import sbtcodec
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.light_codec import LightCodec
from sbtcodec.errors import ModelMismatchError, WeightsError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.digest import pictures_digest
from sbtcodec.models.export import export, export_alone, export_decoder
from sbtcodec.models.registry import read_manifest, weights_dir
from sbtcodec.models.release import load_release
from sbtcodec.models.stored import digests, read_tensors
from sbtcodec.rdo.token_search import searched_tokens
from sbtcodec.runtime.tensor_files import save_tensors
from sbtcodec.tokenizer.look import Look, alone_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training import checkpoint
from sbtcodec.training.config import MODELS
from sbtcodec.training.publish import add
from sbtcodec.training.vivid_run import train_vivid
from sbtcodec.training.vivid_stage import (
    PRESETS,
    averaged_look,
    check_same,
    export_look,
    export_networks,
    next_name,
    vivid_stage,
)
from sbtcodec.training.vivid_state import begun
from sbtcodec.training.vivid_step import Crops

RGB = NDArray[np.uint8]
CPU = torch.device("cpu")
RECIPE = replace(PRESETS["alone"], batch=2, side=64, blocks=1, refining=1)
FINE = 8  # channels of the last detail layer, which have no prediction


@pytest.fixture(scope="module")
def plain_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny, untrained model that has fine channels, as model 9 has."""
    folder = tmp_path_factory.mktemp("plain")
    tiny = MODELS["tiny"]
    t = tiny.tokenizer
    channels, groups = t.local_channels + FINE, (*t.groups, FINE)
    sizes = replace(t, local_channels=channels, groups=groups, fine_channels=FINE)
    config = replace(tiny, tokenizer=sizes)
    torch.manual_seed(3)
    state = {k: v.detach() for k, v in CodecModel(config).named_parameters()}
    export(state, config, folder / "new", card={})
    add(folder, folder / "new", number=1, name="tiny")
    return folder


@pytest.fixture(scope="module")
def alone_weights(plain_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that model, which has got such networks, deeper than its own."""
    folder = tmp_path_factory.mktemp("alone") / "weights"
    shutil.copytree(plain_weights, folder)
    release = load_release(folder=folder)
    tokenizer = release.model.tokenizer
    look = alone_like(tokenizer, PredictorSizes.of(tokenizer.config).deeper(6, 3))
    assert look.predictor is not None
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in look.named_parameters():
            # far places have to matter, so that one that is left out is seen
            spread = 0.5 if "depthwise" in name or "project" in name else 0.05
            noise = torch.randn_like(value) * (value.std() if value.numel() > 1 else 1)
            value.add_(spread * noise)
        for block in look.predictor.predictor.spread[2:]:
            torch.nn.init.normal_(block.project.weight, std=0.4)
            torch.nn.init.normal_(block.depthwise.weight, std=0.4)
        torch.nn.init.normal_(look.predictor.refiner.head.weight, std=0.05)
    export_alone(release.path, look, folder / "new", recipe={"minutes": 1})
    add(folder, folder / "new", number=release.number, name="tiny.1")
    return folder


@pytest.fixture(scope="module")
def alone_codec(alone_weights: Path) -> Codec:
    return Codec.load("cpu", precision="float32", weights=alone_weights)


@pytest.fixture(scope="module")
def plain_codec(plain_weights: Path) -> Codec:
    return Codec.load("cpu", precision="float32", weights=plain_weights)


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
    ours, before = (c.decode(bare).rgb for c in (alone_codec, plain_codec))
    assert np.abs(ours.astype(int) - before).mean() > 1
    assert np.array_equal(alone_codec.decode(bare, 0).rgb, ours)
    detailed = plain_codec.compress(image, 40)
    assert alone_codec.compress(image, 40) == detailed
    for layers in (None, 0, 1):
        shown = [c.decode(detailed, layers).rgb for c in (alone_codec, plain_codec)]
        assert np.array_equal(*shown)


def test_a_file_with_details_that_lost_them_all_is_shown_as_before(
    alone_codec: Codec, plain_codec: Codec, image: RGB
) -> None:
    """Its global tokens were chosen for what follows them."""
    detailed = plain_codec.compress(image, 40)
    end = sum(layer.present_bytes for layer in sbtcodec.inspect(detailed).layers[1:])
    cut = detailed[: len(detailed) - end + 1]
    ours, before = (c.decode(cut, allow_partial=True) for c in (alone_codec, plain_codec))
    assert ours.layers == 0 and np.array_equal(ours.rgb, before.rgb)


def test_all_ways_to_the_picture_of_global_tokens_alone_agree(
    alone_codec: Codec, bare: bytes, image: RGB
) -> None:
    shown = alone_codec.decode(bare).rgb
    detokenized = alone_codec.detokenize(alone_codec.tokens_of(bare))
    assert np.array_equal(np.asarray(detokenized), shown)
    coding = alone_codec.code(alone_codec.analyse(image), globals_only=True)
    assert np.array_equal(alone_codec.reconstruct(coding), shown)


def test_in_bfloat16_they_show_the_same_but_for_rounding(
    alone_weights: Path, alone_codec: Codec, plain_codec: Codec, bare: bytes
) -> None:
    half = Codec.load("cpu", precision="bfloat16", weights=alone_weights).decode(bare).rgb
    ours, others = (c.decode(bare).rgb.astype(int) for c in (alone_codec, plain_codec))
    assert np.abs(half - ours).mean() < 0.3 * np.abs(half - others).mean()


def test_a_model_keeps_its_number_and_gets_another_digest_of_pictures(
    alone_weights: Path, plain_weights: Path, tmp_path: Path
) -> None:
    ours, before = load_release(folder=alone_weights), load_release(folder=plain_weights)
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


@pytest.mark.parametrize("light", [False, True])
def test_decoding_in_blocks_gives_the_whole(
    alone_codec: Codec,
    alone_weights: Path,
    bare: bytes,
    light: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if light:
        pytest.importorskip("onnxruntime")
    codec: Any = LightCodec(alone_weights) if light else alone_codec
    whole = codec.decode(bare).rgb.astype(int)
    kind = "light" if light else "latents"
    monkeypatch.setattr(f"sbtcodec.{kind}.estimate.SPREAD_BLOCK", 8)
    monkeypatch.setattr("sbtcodec.latents.bands.BAND_LATENTS", 6)
    assert np.abs(whole - codec.decode(bare).rgb).max() <= 1


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


def test_a_search_for_tokens_looks_at_what_they_show(alone_codec: Codec, image: RGB) -> None:
    crop = np.ascontiguousarray(image[:128, :128])
    levels = alone_codec.networks.levels(alone_codec.networks.analyse(crop)[1])
    tokenizer = alone_codec.release.model.tokenizer
    own = tokenizer.alone
    assert own is not None and own.predictor is not None
    asked = {
        "own predictor": own.predictor,
        "own decoder": own.decoder,
        "predictor": tokenizer.predictor,
        "decoder": tokenizer.decoder,
    }
    called: set[str] = set()
    hooks = [
        network.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, network in asked.items()
    ]
    try:
        searched_tokens(alone_codec.release, crop, levels, 1, CPU)
    finally:
        for hook in hooks:
            hook.remove()
    assert called == {"own predictor", "own decoder"}


def test_other_training_starts_without_them(alone_weights: Path, plain_weights: Path) -> None:
    ours, before = (
        checkpoint.weights_of(load_release(folder=folder).path)
        for folder in (alone_weights, plain_weights)
    )
    assert ours.config == before.config
    assert ours.state.keys() == before.state.keys()


def test_they_start_as_the_model_or_as_what_it_has(alone_codec: Codec, plain_codec: Codec) -> None:
    z = torch.rand(1, len(plain_codec.release.model.config.tokenizer.levels), 2, 3) * 2 - 1
    told = plain_codec.release.anchor_weights(0)[None], torch.tensor([0])
    for codec in (alone_codec, plain_codec):
        tokenizer = codec.release.model.tokenizer
        depths = (6, 3) if tokenizer.alone else (2, 2)
        look = alone_like(tokenizer, PredictorSizes.of(tokenizer.config).deeper(*depths))
        assert look.predictor is not None
        decoder = tokenizer.alone.decoder if tokenizer.alone else tokenizer.decoder
        with torch.no_grad():
            y_hat = tokenizer.predicted_alone(z)
            torch.testing.assert_close(
                look.decoder(look.predictor(z), *told), decoder(y_hat, *told)
            )


def test_a_run_gives_the_model_its_networks_and_the_model_another_name(
    plain_weights: Path, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(plain_weights, tmp_path / "weights"))
    release = load_release(folder=folder)
    out = tmp_path / "run"
    run = train_vivid(RECIPE, release, data=photographs, trunk=trunk_file, out=out, steps=12)
    (folder / "tiny.2.safetensors").write_bytes(b"another model's")
    for name in ("tiny.1", "tiny.3"):
        made = export_networks(run, folder)
        assert made.name == f"{name}.safetensors"
        assert [m.name for m in read_manifest(folder).models] == [name]
    left = sorted(p.name for p in folder.glob("*.safetensors"))
    assert left == ["tiny.2.safetensors", "tiny.3.safetensors"]
    after = load_release(folder=folder)
    tensors, progress = checkpoint.load(run)
    assert after.model.tokenizer.alone is not None and progress["step"] == 12
    for name, value in after.model.tokenizer.alone.state_dict().items():
        assert torch.equal(value, tensors[f"ema.{name}"].half().float()), name


def test_networks_of_other_sizes_take_the_place_of_those_before(
    alone_weights: Path, tmp_path: Path
) -> None:
    release = load_release(folder=alone_weights)
    look = alone_like(release.model.tokenizer, PredictorSizes.of(release.model.config.tokenizer))
    export_alone(release.path, look, tmp_path / "new", recipe={})
    folder = tmp_path / "weights"
    folder.mkdir()
    add(folder, tmp_path / "new")
    own = load_release(folder=folder).model.tokenizer.alone
    assert own is not None and own.predictor is not None and look.predictor is not None
    assert own.predictor.sizes == look.predictor.sizes


@pytest.mark.parametrize(
    "name", ["sbt-1", "sbt-1.2", "mine", "mine.fast", "sbt-1.2.9", "a.-1", "."]
)
def test_every_name_has_a_next_one(plain_weights: Path, name: str) -> None:
    release = replace(load_release(folder=plain_weights), name=name)
    found = next_name(release)
    assert found not in (name, "tiny")
    assert found == {"sbt-1": "sbt-1.1", "sbt-1.2": "sbt-1.3", "sbt-1.2.9": "sbt-1.2.10"}.get(
        name, f"{name}.1"
    )


def test_only_such_networks_become_part_of_a_model_and_they_are_no_look(
    plain_weights: Path, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(plain_weights, tmp_path / "weights"))
    release = load_release(folder=folder)
    recipe = replace(RECIPE, alone_share=0.5)
    given: dict[str, Any] = {"data": photographs, "trunk": trunk_file, "steps": 1}
    run = train_vivid(recipe, release, out=tmp_path / "mixed", **given)
    with pytest.raises(WeightsError, match="not of networks for pictures of global tokens alone"):
        export_networks(run, folder)
    run = train_vivid(RECIPE, release, out=tmp_path / "alone", **given)
    with pytest.raises(WeightsError, match="has learned no look"):
        export_look(run, release, folder / "look")
    assert load_release(folder=folder).path == folder / release.path.name
    assert not (folder / "look").exists()


def test_a_run_of_another_model_or_a_damaged_one_is_refused(
    plain_weights: Path, tiny_weights: Path, photographs: Path, trunk_file: Path, tmp_path: Path
) -> None:
    release = load_release(folder=plain_weights)
    given: dict[str, Any] = {"data": photographs, "trunk": trunk_file, "out": tmp_path / "run"}
    run = train_vivid(RECIPE, release, steps=1, **given)
    other = load_release(folder=tiny_weights)
    with pytest.raises(WeightsError, match="was not trained for tiny"):
        export_networks(run, tiny_weights)
    with pytest.raises(WeightsError, match="of a run for another model"):
        train_vivid(RECIPE, other, steps=2, resume=True, **given)
    with pytest.raises(ModelMismatchError, match="give the folder of that model"):
        check_same(release, other)
    tensors, progress = checkpoint.load(run)
    for recipe in ({"foo": 1}, 5, [1], {"blocks": "x"}, {"blocks": -9}, {"blocks": 1000}, None):
        about = json.dumps(progress | {"vivid": recipe})
        save_tensors(tensors, tmp_path / "damaged", {"progress": about})
        with pytest.raises(WeightsError, match="does not fit"):
            averaged_look(tmp_path / "damaged", release)


def test_such_networks_start_from_the_model_alone(plain_weights: Path, tmp_path: Path) -> None:
    release = load_release(folder=plain_weights)
    with pytest.raises(WeightsError, match="start from those of the model"):
        begun(RECIPE, release, (), CPU, warm_start=tmp_path / "look")


def test_no_discriminator_is_trained_where_none_has_a_say(plain_weights: Path) -> None:
    run = begun(RECIPE, load_release(folder=plain_weights), (), CPU)
    assert run.discriminator is None and list(run.networks) == ["look"]
    assert isinstance(run.look.model, Look)
    assert run.look.model.decoder.finest is None


def test_tokens_of_training_are_those_of_files(
    plain_codec: Codec, photo: RGB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbtcodec.training.vivid_step.fast_bf16", lambda _kind: False)
    release, square = plain_codec.release, np.ascontiguousarray(photo[:64, :64])
    x = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255
    arrived = Crops(release, RECIPE, CPU).arrived(x, 0)
    levels = plain_codec.tokens_of(plain_codec.compress(square, globals_only=True)).levels
    planes = torch.from_numpy(levels).permute(2, 0, 1)[None].float()
    torch.testing.assert_close(arrived.values, release.model.tokenizer.fsq.to_values(planes))
    assert arrived.faithful is None and len(arrived.detailed) == 0


def test_an_encoder_that_is_published_anew_leaves_them_where_they_are(
    alone_weights: Path, tmp_path: Path
) -> None:
    release = load_release(folder=alone_weights)
    start = checkpoint.weights_of(release.path)
    export(start.state, start.config, tmp_path / "new", card={}, like=release.path)
    add(tmp_path, tmp_path / "new")
    after = load_release(folder=tmp_path)
    assert (after.digest, after.pictures_digest) == (release.digest, release.pictures_digest)
    assert after.model.config == release.model.config


def test_heads_are_part_of_what_pictures_are_known_by(alone_weights: Path) -> None:
    config, stored, _ = read_tensors(load_release(folder=alone_weights).path)
    sizes = config.tokenizer.alone
    assert sizes is not None
    one, other = (
        pictures_digest(replace(config, tokenizer=replace(config.tokenizer, alone=s)), stored)
        for s in (sizes, replace(sizes, heads=2 * sizes.heads))
    )
    assert one != other


@pytest.mark.parametrize(
    "change",
    [
        {"heads": 0},
        {"heads": "8"},
        {"width": None},
        {"width": 8.0},
        {"width": -16},
        {"depth": 10**7},
        {"refine_depth": True},
        {"attention": 4},
        {"global_width": 100},
        {"more": 1},
    ],
)
def test_sizes_that_cannot_be_are_refused(
    alone_weights: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(alone_weights, tmp_path / "weights"))
    path = load_release(folder=folder).path
    with safe_open(path, "np") as file:
        about = file.metadata()
    config = json.loads(about["config"])
    config["tokenizer"]["alone"] |= change
    save_file(load_file(path), folder / "new", {**about, "config": json.dumps(config)})
    with pytest.raises(WeightsError, match="does not hold released weights"):
        add(folder, folder / "new")


def test_the_stage_gives_them_to_the_model_of_a_folder(
    photographs: Path, trunk_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "alone", RECIPE)
    folder = Path(shutil.copytree(weights_dir(), tmp_path / "weights"))
    before = load_release(folder=folder)
    given: dict[str, Any] = {"data": photographs, "trunk": trunk_file, "steps": 1}
    vivid_stage("alone", tmp_path / "run", export=folder, **given)
    after = load_release(folder=folder)
    assert after.digest == before.digest and after.name != before.name
    assert after.model.tokenizer.alone is not None
