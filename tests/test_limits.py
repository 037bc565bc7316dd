"""The limit of pixels: one default that bites, obeyed before anything is decoded, and raised."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_in import assert_fails, replace_codec, runner

import sbtcodec
import sbtcodec.pillow
from sbtcodec.container import Container, Header, Layer, Part, pack
from sbtcodec.errors import ArgumentError, ImageError, InvalidFileError
from sbtcodec.image.conversion import as_picture
from sbtcodec.image.picture import Picture
from sbtcodec.image.pixels import load_image
from sbtcodec.limits import DEFAULT_MAX_PIXELS

SIDE = 16383


def declaring(width, height):
    """A small file that declares so many pixels."""
    header = Header(3, 1, width, height, 128, 0)
    check = bytes(header.check_bytes(0))
    return pack(Container(header, (Layer((Part(b"", check),) * len(header.tiles)),)))


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    replace_codec(monkeypatch)
    return runner(monkeypatch, capsys)


def test_a_hundred_megapixels_pass_and_the_largest_sides_do_not():
    assert 100_000_000 <= DEFAULT_MAX_PIXELS < SIDE * SIDE


@pytest.mark.parametrize("command", ["decompress", "verify", "info", "tokens"])
def test_a_small_file_of_many_pixels_is_refused_with_the_option(run, command):
    data = declaring(SIDE, SIDE)
    assert len(data) < 2000
    Path("bomb.sbt").write_bytes(data)
    code, out, err = run(command, "bomb.sbt")
    assert code == 3
    assert f"expected at most {DEFAULT_MAX_PIXELS} in all; raise --max-pixels" in out + err
    assert [path.name for path in Path().iterdir()] == ["bomb.sbt"]


def test_the_limit_can_be_raised_and_lowered(run):
    Path("large.sbt").write_bytes(declaring(SIDE, SIDE))
    code, out, _ = run("info", "large.sbt", "--max-pixels", SIDE * SIDE, "--json")
    assert (code, json.loads(out)["width"]) == (0, SIDE)
    Path("fits.sbt").write_bytes(declaring(10_000, 10_000))
    assert run("info", "fits.sbt")[0] == 0
    assert run("info", "fits.sbt", "--max-pixels", 10**8 - 1)[0] == 3


def test_an_image_of_many_pixels_is_refused_with_the_option(run):
    Image.new("1", (12_000, 12_000)).save("large.png")
    assert_fails(run("compress", "large.png"), 5, "raise --max-pixels")


def test_functions_refuse_what_commands_refuse():
    data = declaring(SIDE, SIDE)
    with pytest.raises(InvalidFileError, match="raise max_pixels"):
        sbtcodec.decompress(data)
    wide = np.broadcast_to(np.zeros((1, 1), np.uint8), (12_000, 12_000))
    with pytest.raises(ImageError, match="raise max_pixels"):
        sbtcodec.compress(wide)
    with pytest.raises(ImageError, match="raise max_pixels"):
        as_picture(Image.new("1", (12_000, 12_000)))


def test_the_codec_has_the_limit_for_images_tokens_and_files(tiny_codec):
    gray = np.zeros((40, 50), np.uint8)
    data = tiny_codec.compress(gray, max_pixels=2000)
    assert tiny_codec.tokens_of(data, max_pixels=2000).width == 50
    assert tiny_codec.tokenize(gray, max_pixels=2000).width == 50
    for call in (tiny_codec.compress, tiny_codec.analyse, tiny_codec.tokenize):
        with pytest.raises(ImageError, match="raise max_pixels"):
            call(gray, max_pixels=1999)
        with pytest.raises(ArgumentError, match="max_pixels is"):
            call(gray, max_pixels=0)
    for call in (tiny_codec.tokens_of, tiny_codec.decompress, tiny_codec.decode):
        with pytest.raises(InvalidFileError, match="raise max_pixels"):
            call(data, max_pixels=1999)


def test_a_picture_was_limited_where_it_was_loaded(tiny_codec):
    file = io.BytesIO()
    Image.new("RGB", (50, 40)).save(file, "PNG")
    picture = load_image(file.getvalue(), max_pixels=2000)
    assert isinstance(picture, Picture)
    assert tiny_codec.compress(picture, max_pixels=1)


def test_an_opened_file_obeys_the_limit_that_pillow_has(monkeypatch, tiny_codec):
    monkeypatch.setattr(sbtcodec, "_loaded_codec", lambda _: tiny_codec)
    data = tiny_codec.compress(np.zeros((40, 50), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1999)
    with pytest.warns(Image.DecompressionBombWarning):
        assert Image.open(io.BytesIO(data)).size == (50, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 999)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(sbtcodec.pillow.sbtcodec, "DEFAULT_MAX_PIXELS", 1)
    with Image.open(io.BytesIO(data)) as image:
        assert image.load() is not None
        image.save(io.BytesIO(), "SBT")
