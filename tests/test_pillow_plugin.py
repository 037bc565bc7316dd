"""`.sbt` files in Pillow: opened lazily, saved like any other format, refused as Pillow does."""

import copy
import inspect
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile, ImageSequence, UnidentifiedImageError
from profiles import LINEAR_GRAY, RED_AND_BLUE_SWAPPED
from skimage import data as photographs

import sbtcodec
import sbtcodec.pillow
from sbtcodec.container import Chunk, Container, pack, unpack
from sbtcodec.errors import ArgumentError, SbtError

ROOT = Path(__file__).resolve().parent.parent
PHOTO = photographs.chelsea()[60:120, 100:190]
ALPHA = photographs.moon()[200:260, 200:290]
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


@pytest.fixture(autouse=True)
def codec_of_the_tests(monkeypatch, tiny_codec):
    """Small weights, on the CPU, whatever device is asked for."""
    devices = []

    def load(device):
        devices.append(device)
        return tiny_codec

    monkeypatch.setattr(sbtcodec, "_loaded_codec", load)
    return devices


def an_image(mode="RGB"):
    return Image.fromarray(np.dstack([PHOTO, ALPHA])).convert(mode)


def saved(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "SBT", **options)
    return buffer.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def exif_data(orientation=None):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    return exif


# Opening


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("by_path", [True, False])
def test_an_image_is_saved_and_opened_by_name_or_file(tmp_path, tiny_codec, mode, by_path):
    path = tmp_path / "photo.sbt"
    an_image(mode).save(path, quality=60)
    with Image.open(path if by_path else io.BytesIO(path.read_bytes())) as image:
        assert (image.format, image.mode, image.size) == ("SBT", mode, (90, 60))
        assert image.get_format_mimetype() == "image/x-sbt"
        expected = tiny_codec.decode(path.read_bytes()).picture
        assert np.array_equal(image, expected.to_image())
        if "A" in mode:
            assert np.array_equal(image.getchannel("A"), ALPHA)


def test_opening_decodes_nothing(monkeypatch):
    data = saved(an_image("LA"), quality=30, icc_profile=LINEAR_GRAY)

    def fail(_):
        raise AssertionError("decoded")

    monkeypatch.setattr(sbtcodec, "_loaded_codec", fail)
    image = opened(data)
    assert (image.mode, image.size) == ("LA", (90, 60))
    assert round(image.info["quality"]) == 30
    assert image.info["layers"] == len(sbtcodec.inspect(data).layers) - 1
    assert image.info["icc_profile"] == LINEAR_GRAY


def test_opening_does_not_import_torch(tmp_path):
    path = tmp_path / "photo.sbt"
    path.write_bytes(saved(an_image("RGBA")))
    script = (
        "import sys, sbtcodec.pillow\n"
        "from PIL import Image\n"
        "image = Image.open(sys.argv[1])\n"
        "assert image.mode == 'RGBA' and image.size == (90, 60)\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script, path], check=True, env=environment, timeout=60)


def test_pixels_are_decoded_once_and_can_be_changed(codec_of_the_tests):
    image = opened(saved(an_image()))
    codec_of_the_tests.clear()
    image.load()
    image.load()
    assert codec_of_the_tests == ["auto"]
    image.putpixel((0, 0), (1, 2, 3))
    assert image.getpixel((0, 0)) == (1, 2, 3)


def test_an_opened_file_works_as_any_image(tmp_path):
    image = opened(saved(an_image("RGBA"), exif=exif_data()))
    assert image.copy().resize((9, 6)).mode == "RGBA"
    assert pickle.loads(pickle.dumps(image)).size == (90, 60)
    image.save(tmp_path / "a.png")
    assert np.array_equal(Image.open(tmp_path / "a.png"), image)
    with Image.open(tmp_path / "a.png") as again:
        again.thumbnail((30, 30))
        assert again.size == (30, 20)


TWINS = {
    "pickle": lambda image: pickle.loads(pickle.dumps(image)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "copied by Pillow": lambda image: image.copy(),
}


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("twin", TWINS)
def test_a_twin_of_an_opened_file_has_its_pixels(tmp_path, mode, loaded, twin):
    path = tmp_path / "photo.sbt"
    path.write_bytes(saved(an_image(mode), quality=60, xmp=XMP))
    with Image.open(path) as image:
        expected = np.asarray(Image.open(path))
        if loaded:
            image.load()
        made = TWINS[twin](image)
    path.unlink()
    assert (made.mode, made.size) == (mode, (90, 60))
    assert made.info["xmp"] == XMP
    assert np.array_equal(made, expected)
    made.putpixel((0, 0), 7 if mode == "L" else (7,) * len(mode))
    assert made.resize((9, 6)).mode == mode
    again = pickle.loads(pickle.dumps(made))
    assert np.array_equal(again, made)
    buffer = io.BytesIO()
    made.save(buffer, "SBT")
    assert made.tell() == 0
    with pytest.raises(EOFError):
        made.seek(1)
    if isinstance(made, ImageFile.ImageFile):
        made.verify()
    made.close()


def test_a_file_that_was_closed_still_has_its_pixels():
    file = io.BytesIO(saved(an_image()))
    image = Image.open(file)
    file.close()
    assert np.asarray(pickle.loads(pickle.dumps(image))).shape == (60, 90, 3)


def test_a_closed_image_is_gone_as_in_other_formats():
    image = opened(saved(an_image()))
    image.close()
    for use in (image.load, lambda: pickle.dumps(image), image.copy, lambda: copy.deepcopy(image)):
        with pytest.raises(ValueError, match="closed image"):
            use()


def test_a_broken_file_cannot_be_pickled():
    image = opened(saved(an_image(), globals_only=True)[:10])
    with pytest.raises(OSError, match="cut inside the base layer"):
        pickle.dumps(image)


def test_there_is_one_frame():
    image = opened(saved(an_image()))
    assert image.tell() == 0
    image.seek(0)
    with pytest.raises(EOFError):
        image.seek(1)
    assert [frame.size for frame in ImageSequence.Iterator(image)] == [(90, 60)]


def test_thumbnails_are_made_and_drafts_change_nothing():
    image = opened(saved(an_image()))
    assert image.draft("L", (30, 20)) is None
    assert (image.mode, image.size) == ("RGB", (90, 60))
    image.thumbnail((30, 30))
    assert image.size == (30, 20)
    assert np.asarray(image).std() > 0


def test_verifying_decodes_nothing_and_finds_what_is_cut(monkeypatch, tmp_path):
    data = saved(an_image(), quality=90)
    last = sbtcodec.inspect(data).layers[-1]
    monkeypatch.setattr(sbtcodec, "_loaded_codec", None)
    (tmp_path / "a.sbt").write_bytes(data)
    image = Image.open(tmp_path / "a.sbt")
    image.verify()
    assert image.fp is None
    with pytest.raises(OSError):
        image.load()  # it has to be reopened
    with pytest.raises(OSError, match="cut"):
        opened(data[: -1 - last.present_bytes]).verify()


def test_a_file_opened_by_name_is_closed_after_loading(tmp_path):
    path = tmp_path / "photo.sbt"
    path.write_bytes(saved(an_image()))
    image = Image.open(path)
    file = image.fp
    image.load()
    assert file.closed
    with path.open("rb") as file:
        Image.open(file).load()
        assert not file.closed


# Saving


def test_options_reach_the_codec(tiny_codec, codec_of_the_tests):
    rgb = np.asarray(an_image())
    assert saved(an_image(), quality=20) == tiny_codec.compress(rgb, 20)
    assert saved(an_image(), globals_only=True) == tiny_codec.compress(rgb, globals_only=True)
    assert saved(an_image()) == tiny_codec.compress(rgb)
    saved(an_image(), device="cpu")
    assert codec_of_the_tests[-1] == "cpu"


def test_all_options_of_compressing_are_options_of_saving(tiny_codec):
    options = set(inspect.signature(sbtcodec.compress).parameters) - {"image"}
    assert set(sbtcodec.pillow._CODEC_OPTIONS) == options
    rgb = np.asarray(an_image())
    assert saved(an_image(), effort=4) == tiny_codec.compress(rgb, effort=4)
    assert len(saved(an_image(), size="1kB")) <= 1000
    assert len(saved(an_image(), bpp=1)) <= 90 * 60 / 8
    assert saved(an_image(), target=("psnr", 4))
    assert "xmp" not in opened(saved(an_image(), xmp=XMP, strip=True)).info
    with pytest.raises(OSError, match="too many pixels"):
        saved(an_image(), max_pixels=100)
    for wrong in ({"effort": 10}, {"size": "x"}, {"size": 900, "bpp": 1}, {"quality": "high"}):
        with pytest.raises(ArgumentError):
            saved(an_image(), **wrong)


def test_files_are_decoded_where_the_module_says(monkeypatch, codec_of_the_tests):
    monkeypatch.setattr(sbtcodec.pillow, "DEVICE", "cpu")
    opened(saved(an_image())).load()
    assert codec_of_the_tests[-1] == "cpu"


@pytest.mark.parametrize("in_info", [True, False])
@pytest.mark.parametrize("mode, profile", [("RGB", RED_AND_BLUE_SWAPPED), ("L", LINEAR_GRAY)])
def test_metadata_of_the_image_or_of_the_call_is_kept(in_info, mode, profile):
    image = an_image(mode)
    metadata = {"icc_profile": profile, "exif": exif_data().tobytes(), "xmp": XMP}
    image.info.update(metadata if in_info else {})
    found = opened(saved(image, **({} if in_info else metadata)))
    assert {key: found.info[key] for key in metadata} == metadata
    assert found.getexif()[ExifTags.Base.Make] == "Maker"
    found.load()
    assert {key: found.info[key] for key in metadata} == metadata


def test_metadata_of_the_call_replaces_that_of_the_image():
    image = an_image()
    image.info.update({"icc_profile": RED_AND_BLUE_SWAPPED, "exif": exif_data().tobytes()})
    found = opened(saved(image, icc_profile=None, exif=b"", xmp=XMP.decode()))
    assert "icc_profile" not in found.info
    assert "exif" not in found.info
    assert found.info["xmp"] == XMP
    assert image.info["icc_profile"] == RED_AND_BLUE_SWAPPED


def test_an_orientation_is_applied_to_the_pixels():
    found = opened(saved(an_image(), exif=exif_data(orientation=6)))
    assert found.size == (60, 90)
    assert ExifTags.Base.Orientation not in found.getexif()


def test_a_failed_save_leaves_no_file(tmp_path):
    with pytest.raises(OSError, match="floating-point") as caught:
        Image.new("F", (8, 8)).save(tmp_path / "a.sbt")
    assert isinstance(caught.value.__cause__, SbtError)
    with pytest.raises(ValueError, match="quality is 101"):
        an_image().save(tmp_path / "a.sbt", quality=101)
    assert list(tmp_path.iterdir()) == []


# Broken files


@pytest.mark.parametrize("data", [b"", b"\xb5\x54", b"\xb5\x54" + bytes(30), b"not an image"])
def test_a_file_without_a_header_is_not_identified(data):
    with pytest.raises(UnidentifiedImageError):
        opened(data)


def test_a_file_cut_in_its_base_layer_opens_and_fails_to_load():
    data = saved(an_image(), globals_only=True)
    image = opened(data[:10])
    assert image.size == (90, 60)
    with pytest.raises(OSError, match="cut inside the base layer") as caught:
        image.load()
    assert isinstance(caught.value.__cause__, SbtError)


def test_a_file_cut_in_a_detail_layer_loads_if_pillow_may_load_cut_files(monkeypatch):
    data = saved(an_image(), quality=90)
    info = sbtcodec.inspect(data)
    cut = data[: info.overhead_bytes + sum(layer.present_bytes for layer in info.layers[:3]) - 1]
    image = opened(cut)
    assert image.info["layers"] == 1
    with pytest.raises(OSError, match="cut inside detail layer"):
        image.load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert np.asarray(opened(cut)).shape == (60, 90, 3)


def test_a_bad_chunk_fails_on_loading():
    whole = unpack(saved(an_image()))
    for chunk in (Chunk("ICCP", b"\1nonsense"), Chunk("ALPH", b"nonsense")):
        image = opened(pack(Container(whole.header, whole.layers, (chunk,))))
        assert "icc_profile" not in image.info
        with pytest.raises(OSError, match=f"the {chunk.kind} chunk"):
            image.load()


def test_an_image_of_too_many_pixels_is_refused_as_pillow_does(monkeypatch):
    data = saved(an_image())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        opened(data)


@pytest.mark.parametrize("option", [{"exif": "text"}, {"icc_profile": "text"}, {"xmp": 5}])
def test_metadata_of_another_type_is_refused_by_name(option):
    with pytest.raises(ValueError, match=f"{next(iter(option))} is .*, expected bytes"):
        saved(an_image(), **option)
