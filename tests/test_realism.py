"""The vivid look in Python: pixels between two decoders, marked, of files that stay as they are."""

import io
import math
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from conftest import changed_look, put_look
from numpy.typing import NDArray
from PIL import Image
from test_completion import damaged

import sbtcodec
import sbtcodec.pillow
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.light_codec import LightCodec
from sbtcodec.container import Header, unpack
from sbtcodec.errors import ArgumentError, ModelMismatchError, WeightsError
from sbtcodec.grid import Box
from sbtcodec.image.picture import Picture
from sbtcodec.image.provenance import UNMARKED, synthesised_xmp, with_synthesised_detail
from sbtcodec.image.saving import save_image
from sbtcodec.latents.engine import HALO
from sbtcodec.models.looks import load_look
from sbtcodec.models.registry import read_manifest
from sbtcodec.tokenizer.look import Look, look_like
from sbtcodec.tokenizer.noise import PERIOD, PLACES2, PLACES4, noise_at
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes

RGB = NDArray[np.uint8]
MARK = b"detail synthesised by sbtcodec, realism "
LAYERS = 4


@pytest.fixture(scope="module")
def file(look_codec: Codec, photo: RGB) -> bytes:
    return look_codec.compress(photo, quality=40)


def with_look(folder: Path, codec: Codec, look: Look) -> Codec:
    """A codec with another look of the same model, in a folder of its own."""
    shutil.copytree(codec.release.folder, folder)
    put_look(folder, codec.release, look)
    return Codec.load("cpu", precision="float32", weights=folder)


def distance(a: RGB, b: RGB) -> float:
    return float(np.abs(a.astype(float) - b).mean())


# pixels


def test_without_realism_the_picture_is_the_faithful_one(
    look_codec: Codec, tiny_weights: Path, file: bytes
):
    plain = Codec.load("cpu", precision="float32", weights=tiny_weights)
    expected = plain.decode(file).rgb
    for decoded in (look_codec.decode(file), look_codec.decode(file, realism=0)):
        assert np.array_equal(decoded.rgb, expected)
        assert (decoded.realism, decoded.picture.xmp) == (0, None)


def test_with_a_look_files_are_written_as_without_one(
    look_codec: Codec, tiny_weights: Path, photo: RGB, file: bytes
):
    plain = Codec.load("cpu", precision="float32", weights=tiny_weights)
    assert plain.compress(photo, quality=40) == file


@pytest.mark.parametrize("layers", [0, 1, None])
def test_realism_mixes_the_pixels_of_both_looks(look_codec: Codec, file: bytes, layers: int | None):
    faithful = look_codec.decode(file, layers).rgb.astype(float)
    vivid = look_codec.decode(file, layers, realism=1).rgb.astype(float)
    assert distance(faithful, vivid) > 1
    for realism in (0.25, 0.5, 0.9):
        mixed = look_codec.decode(file, layers, realism=realism).rgb
        # both are rounded already, by half a level at most
        assert np.abs(mixed - ((1 - realism) * faithful + realism * vivid)).max() <= 1.001


def test_all_of_the_look_is_what_its_decoder_makes_of_the_tokens(
    look_codec: Codec, file: bytes, photo: RGB
):
    release = look_codec.release
    look, header = load_look(release), unpack(file).header
    with torch.no_grad():
        y_hat = estimated(look_codec, file)
        anchors = release.anchor_weights(header.quality)[None]
        arrived = torch.tensor([header.detail_layers])
        noise = noise_at(Box(0, 0, *y_hat.shape[2:]), y_hat.device)
        x_hat = look.decoder(y_hat, anchors, arrived, noise=noise)
    expected = (255 * x_hat[0]).round().clamp(0, 255).permute(1, 2, 0).numpy()
    shown = look_codec.decode(file, realism=1).rgb
    assert np.abs(expected[: photo.shape[0], : photo.shape[1]] - shown).max() <= 1


def test_noise_is_that_of_the_place_in_the_picture():
    cpu = torch.device("cpu")
    whole = noise_at(Box(0, 0, 2 * PERIOD, 70), cpu)
    assert whole.shape == (1, PLACES4 + PLACES2, 2 * PERIOD, 70)
    assert torch.equal(whole[:, :, 5:9, 60:70], noise_at(Box(5, 60, 9, 70), cpu))
    assert torch.equal(whole[:, :, :PERIOD], whole[:, :, PERIOD:])
    tile = whole[:, :, :PERIOD, :PERIOD]
    assert (float(tile.mean()), float(tile.std())) == pytest.approx((0, 1), abs=0.01)
    # the same for ever: a file always gives the same picture
    assert tile[0, :2, 0, :2].flatten().tolist() == pytest.approx(
        [1.2825807, -0.7384868, -0.7906093, 0.8128417]
    )


def test_noise_changes_what_a_look_shows_and_not_what_the_model_does(look_codec: Codec):
    release = look_codec.release
    look, noise = load_look(release), noise_at(Box(0, 0, 4, 6), torch.device("cpu"))
    y = torch.randn(1, release.model.config.tokenizer.local_channels, 4, 6)
    told = release.anchor_weights(100)[None], torch.tensor([2])
    for decoder, changes in ((look.decoder, True), (release.model.tokenizer.decoder, False)):
        with torch.no_grad():
            with_noise, without = decoder(y, *told, noise=noise), decoder(y, *told)
        assert torch.allclose(with_noise, without, atol=1e-5) != changes


def estimated(codec: Codec, file: bytes) -> torch.Tensor:
    """Local tokens as they are known when all is read, from what `show` is given."""
    seen: list[torch.Tensor] = []
    networks = codec.networks
    original = networks.show

    def show(estimate: Any, *arguments: Any) -> RGB:
        seen.append(estimate.y_hat.clone())
        return original(estimate, *arguments)

    networks.show = show  # type: ignore[method-assign]
    try:
        codec.decode(file)
    finally:
        del networks.show  # type: ignore[method-assign]
    return seen[0]


def test_the_predictor_of_a_look_acts_only_on_files_of_global_tokens_alone(
    look_codec: Codec, file: bytes, photo: RGB, tmp_path: Path
):
    """Where details arrive it would change what symbols are added to."""
    tokenizer = look_codec.release.model.tokenizer
    look = look_like(tokenizer, sizes=PredictorSizes.of(tokenizer.config).deeper(1, 1))
    assert look.predictor is not None
    torch.manual_seed(1)
    with torch.no_grad():
        look.predictor.refiner.head.weight.normal_(std=0.2)
    codec = with_look(tmp_path / "weights", look_codec, look)
    bare = codec.compress(photo, globals_only=True)
    for data, layers in [(bare, 0), *((file, layers) for layers in range(LAYERS + 1))]:
        faithful = codec.decode(data, layers)
        vivid, half = (codec.decode(data, layers, realism=r).rgb for r in (1, 0.5))
        assert faithful.layers == layers
        if data is bare:
            assert distance(faithful.rgb, vivid) > 1
            between = (faithful.rgb.astype(float) + vivid) / 2
            assert np.abs(half - between).max() <= 1.001
        else:  # the decoder is the same, but in half precision
            assert np.abs(faithful.rgb.astype(int) - vivid).max() <= 1


def test_decoding_in_blocks_gives_the_look_of_the_whole(
    look_codec: Codec, monkeypatch: pytest.MonkeyPatch
):
    noise = np.random.default_rng(3).integers(0, 256, (13, 10, 3), np.uint8)
    image = np.asarray(Image.fromarray(noise).resize((330, 450), Image.Resampling.BICUBIC))
    data = look_codec.compress(image, 60)
    wholes = [look_codec.decode(data, n, realism=r).rgb for n in (0, 1, None) for r in (0.5, 1)]
    monkeypatch.setattr("sbtcodec.latents.showing.COARSE_BLOCK", 10)
    monkeypatch.setattr("sbtcodec.latents.showing.FINE_BLOCK", 3)
    monkeypatch.setattr("sbtcodec.latents.bands.BAND_LATENTS", 6)
    parts = [look_codec.decode(data, n, realism=r).rgb for n in (0, 1, None) for r in (0.5, 1)]
    for whole, part in zip(wholes, parts, strict=True):
        assert np.abs(whole.astype(int) - part).max() <= 1
        assert distance(whole, part) < 0.01


def test_the_branch_at_stride_2_sees_no_further_than_the_halo(look_codec: Codec):
    """So that blocks, and crops, need no more around them than for the faithful look."""
    release = look_codec.release
    decoder, config = load_look(release).decoder, release.model.config.tokenizer
    assert decoder.finest is not None
    anchors, layers = release.anchor_weights(100)[None], torch.tensor([2])
    y = torch.randn(1, config.local_channels, 24, 24, requires_grad=True)
    decoder(y, anchors, layers)[:, :, 12 * 16 : 13 * 16, 12 * 16 : 13 * 16].sum().backward()
    assert y.grad is not None
    reached = (y.grad.abs().sum((0, 1)) > 0).nonzero()
    assert (reached - 12).abs().max() <= HALO


@pytest.mark.parametrize("realism", [0.5, 1])
def test_a_crop_is_that_part_of_the_whole(look_codec: Codec, file: bytes, realism: float):
    for layers in (0, 1, None):
        whole = look_codec.decode(file, layers, realism=realism).rgb.astype(int)
        part = look_codec.decode(file, layers, crop=(50, 30, 91, 70), realism=realism)
        assert np.abs(part.rgb - whole[30:100, 50:141]).max() <= 1
        assert MARK in (part.picture.xmp or b"")


def test_bfloat16_shows_the_same_look_but_for_rounding(look_codec: Codec, file: bytes):
    half = Codec.load("cpu", precision="bfloat16", weights=look_codec.release.folder)
    for realism in (0.5, 1):
        exact = look_codec.decode(file, realism=realism).rgb
        assert distance(half.decode(file, realism=realism).rgb, exact) < 1


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_shows_the_same_look(look_codec: Codec, file: bytes, precision: str):
    codec = Codec.load("cuda", precision=precision, weights=look_codec.release.folder)
    for layers in (1, None):
        for realism in (0.5, 1):
            expected = look_codec.decode(file, layers, realism=realism).rgb
            assert distance(codec.decode(file, layers, realism=realism).rgb, expected) < 1


def test_gray_pictures_stay_gray_and_transparency_is_kept(look_codec: Codec, photo: RGB):
    alpha = np.tile(np.arange(photo.shape[1], dtype=np.uint8), (photo.shape[0], 1))
    for array in (photo[:, :, 0], np.dstack([photo, alpha])):
        data = look_codec.compress(array, quality=30)
        faithful, vivid = look_codec.decompress(data), look_codec.decompress(data, realism=1)
        assert vivid.mode == faithful.mode == ("L" if array.ndim == 2 else "RGBA")
        assert MARK in vivid.info["xmp"]
        if vivid.mode == "RGBA":
            assert np.array_equal(np.asarray(vivid)[:, :, 3], alpha)
            assert np.array_equal(np.asarray(faithful)[:, :, 3], alpha)
        else:
            assert not np.array_equal(np.asarray(faithful), np.asarray(vivid))


def test_a_scaled_picture_has_the_look(look_codec: Codec, file: bytes):
    small = look_codec.decode(file, scale=2, realism=1)
    assert small.rgb.shape[:2] == (76, 114) and MARK in (small.picture.xmp or b"")


def test_damaged_tiles_are_concealed_with_the_look(look_codec: Codec):
    image = np.full((40, 1100, 3), 90, np.uint8)
    image[:, ::7] = 160
    data = damaged(look_codec.compress(image, 40), 0, 1)

    def drawn(_: Header, levels: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.where(known[:, :, None], levels, 2)

    faithful = look_codec.decode(data, conceal=drawn)
    vivid = look_codec.decode(data, conceal=drawn, realism=1)
    assert faithful.notice == vivid.notice and "synthesised is" in (vivid.notice or "")
    assert distance(faithful.rgb, vivid.rgb) > 1


# metadata


def text_of(xmp: bytes | None) -> str:
    """All text and attributes of a packet, which is well-formed."""
    assert xmp is not None
    parts = []
    for element in ElementTree.fromstring(xmp).iter():
        parts += [element.text or "", *element.attrib.values()]
    return "\n".join(parts)


@pytest.mark.parametrize(("realism", "told"), [(1, "1.0"), (0.25, "0.25"), (1 / 3, "0.3333")])
def test_a_picture_says_how_much_of_it_is_synthesised(
    look_codec: Codec, file: bytes, realism: float, told: str
):
    decoded = look_codec.decode(file, realism=realism)
    assert decoded.realism == realism
    said = text_of(decoded.picture.xmp).split("\n")
    assert f"detail synthesised by sbtcodec, realism {told}" in said
    assert any(line.endswith("/compositeWithTrainedAlgorithmicMedia") for line in said)


def test_a_picture_with_xmp_data_keeps_it_and_says_it_too(look_codec: Codec, photo: RGB):
    own = (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<r:Description r:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        b' dc:source="camera"/></r:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    data = look_codec.compress(Picture(photo, xmp=own), quality=30)
    assert look_codec.decode(data).picture.xmp == own
    picture = look_codec.decode(data, realism=0.5).picture
    assert picture.xmp is not None and picture.notices == ()
    text = text_of(picture.xmp)
    assert "camera" in text and text.count("uuid:1") == 2
    assert "detail synthesised by sbtcodec, realism 0.5" in text
    assert "compositeWithTrainedAlgorithmicMedia" in text
    again = look_codec.decode(look_codec.compress(picture, quality=30), realism=1).picture
    assert again.xmp == picture.xmp.replace(b"realism 0.5", b"realism 1.0")


def test_what_a_packet_says_already_is_not_said_twice(photo: RGB):
    made = with_synthesised_detail(Picture(photo, xmp=synthesised_xmp()), 1.0)
    text = text_of(made.xmp)
    assert text.count("trainedAlgorithmicMedia") == 1
    assert "detail synthesised by sbtcodec, realism 1.0" in text


def test_xmp_data_that_cannot_be_added_to_is_kept_with_a_notice(photo: RGB):
    for packet in (b"no packet", "<x></r:RDF>".encode("utf-16")):
        made = with_synthesised_detail(Picture(photo, xmp=packet), 1.0)
        assert (made.xmp, made.notices) == (packet, (UNMARKED,))


# what is refused


@pytest.mark.parametrize("realism", [-0.01, 1.01, math.nan, math.inf, "1", True, [0.5]])
def test_a_realism_that_is_no_share_is_refused(look_codec: Codec, file: bytes, realism: Any):
    for call in (look_codec.decode, look_codec.decompress, sbtcodec.decompress):
        with pytest.raises(ArgumentError, match="realism is .*, expected "):
            call(file, realism=realism)


def test_numbers_of_numpy_are_numbers(look_codec: Codec, file: bytes):
    assert look_codec.decode(file, realism=np.float32(0.5)).realism == 0.5


def test_a_model_without_a_look_is_told(tiny_codec: Codec, file: bytes):
    with pytest.raises(ModelMismatchError, match=r"no vivid look of model 1 .*realism at 0"):
        tiny_codec.decode(file, realism=0.1)


def test_a_look_is_not_read_before_it_is_asked_for(look_codec: Codec, file: bytes, tmp_path: Path):
    look = changed_look(look_codec.release)
    codec = with_look(tmp_path / "weights", look_codec, look)
    (tmp_path / "weights" / read_manifest(tmp_path / "weights").looks[0].file).unlink()
    assert codec.decode(file).layers == LAYERS
    with pytest.raises(WeightsError, match="cannot be read"):
        codec.decode(file, realism=1)


def test_onnxruntime_alone_says_what_realism_needs(look_weights: Path, file: bytes):
    with pytest.raises(ModelMismatchError, match="needs torch.*; install torch"):
        LightCodec(look_weights).decode(file, realism=0.5)
    with pytest.raises(ArgumentError, match="realism is 2"):
        LightCodec(look_weights).decode(file, realism=2)


# the package and Pillow


def test_the_package_and_pillow_show_the_look(
    look_codec: Codec, file: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sbtcodec, "_loaded_codec", lambda _device: look_codec)
    expected = np.asarray(look_codec.decompress(file, realism=1))
    assert np.array_equal(np.asarray(sbtcodec.decompress(file, realism=1)), expected)
    plain = Image.open(io.BytesIO(file))
    assert "xmp" not in plain.info and not np.array_equal(np.asarray(plain), expected)
    assert "xmp" not in plain.info
    monkeypatch.setattr(sbtcodec.pillow, "REALISM", 1.0)
    image = Image.open(io.BytesIO(file))
    assert np.array_equal(np.asarray(image), expected)
    assert MARK + b"1.0" in image.info["xmp"]
    monkeypatch.setattr(sbtcodec.pillow, "REALISM", 3)
    with pytest.raises(OSError, match="realism is 3"):
        Image.open(io.BytesIO(file)).load()


def test_a_picture_that_is_saved_carries_the_mark(look_codec: Codec, file: bytes, tmp_path: Path):
    save_image(look_codec.decode(file, realism=1).picture, tmp_path / "a.png", force=False)
    assert MARK.decode() + "1.0" in Image.open(tmp_path / "a.png").info["XML:com.adobe.xmp"]
