"""How files are meant to be seen: said by compress, told by info, followed where none is asked."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import sbtcodec
import sbtcodec.pillow
from sbtcodec.cli import app
from sbtcodec.codec.codec import Codec
from sbtcodec.codec.light_codec import LightCodec
from sbtcodec.codec.rate_target import RateTarget
from sbtcodec.collection.manifest import Settings
from sbtcodec.container import Look, unpack
from sbtcodec.errors import ArgumentError
from sbtcodec.image.picture import Picture

RGB = NDArray[np.uint8]
MISSED = "meant to be seen vividly, and shown faithfully"


@pytest.fixture(scope="module")
def small(photo: RGB) -> RGB:
    return np.ascontiguousarray(photo[:64, :64])


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def look_of(data: bytes) -> Look:
    return unpack(data).header.look


@pytest.mark.parametrize("look", [None, "faithful", "vivid"])
def test_a_file_says_how_it_is_meant_and_holds_the_same_symbols(
    look_codec: Codec, small: RGB, look: str | None
) -> None:
    plain = look_codec.compress(small, 20)
    data = look_codec.compress(small, 20, look=look)
    assert look_of(data) is Look.meant(look)
    assert len(data) == len(plain) + (look is not None)
    ours, others = look_codec.tokens_of(data), look_codec.tokens_of(plain)
    assert np.array_equal(ours.symbols, others.symbols)
    told = sbtcodec.inspect(data).look
    assert told == (look or "unsaid")


def test_only_a_file_that_is_meant_so_is_shown_vividly_unasked(
    look_codec: Codec, small: RGB
) -> None:
    for look, realism in ((None, 0), ("faithful", 0), ("vivid", 1)):
        data = look_codec.compress(small, 20, look=look)
        decoded = look_codec.decode(data)
        assert decoded.realism == realism
        assert np.array_equal(decoded.rgb, look_codec.decode(data, realism=realism).rgb)
        assert ("xmp" in look_codec.decompress(data).info) == bool(realism)
        assert look_codec.decode(data, realism=0).realism == 0
        assert look_codec.decode(data, realism=0.5).realism == 0.5
        assert not decoded.picture.notices


def test_what_is_installed_is_asked_only_for_files_that_are_meant_to_be_vivid(
    look_codec: Codec, small: RGB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec that is loaded decodes on while an installation is replaced."""
    asked: list[int] = []
    monkeypatch.setattr(Codec, "has_look", lambda _codec, number: bool(asked.append(number)))
    for look, times in ((None, 0), ("faithful", 0), ("vivid", 1)):
        look_codec.decode(look_codec.compress(small, 20, look=look))
        assert len(asked) == times


def test_where_the_look_is_missing_the_faithful_one_is_shown_and_that_is_told(
    tiny_codec: Codec, look_weights: Path, small: RGB
) -> None:
    data = tiny_codec.compress(small, 20, look="vivid")
    codecs: list[Any] = [tiny_codec]
    try:
        import onnxruntime  # noqa: F401  # without it there is no such codec

        codecs.append(LightCodec(look_weights))
    except ImportError:
        pass
    for codec in codecs:
        decoded = codec.decode(data)
        assert decoded.realism == 0 and MISSED in decoded.picture.notices[-1]
        assert np.array_equal(decoded.rgb, codec.decode(data, realism=0).rgb)
        assert codec.decode(data, realism=0).picture.notices == ()


def test_a_search_for_a_size_counts_the_byte_that_says_it(look_codec: Codec, small: RGB) -> None:
    picture = Picture(small, look="vivid")
    size = len(look_codec.compress(picture, 40)) - 1
    found = RateTarget(size=size).found(look_codec, picture, None).data
    assert len(found) <= size and look_of(found) is Look.VIVID


@pytest.mark.parametrize("look", ["bright", "", 1, "unsaid", "reserved"])
def test_another_look_is_an_error(look_codec: Codec, small: RGB, look: Any) -> None:
    with pytest.raises(ArgumentError, match="expected 'faithful' or 'vivid'"):
        look_codec.compress(small, look=look)
    with pytest.raises(ArgumentError, match="expected 'faithful' or 'vivid'"):
        sbtcodec.compress(small, look=look)


def test_python_and_pillow_say_it_and_follow_it(
    small: RGB, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "SBT", quality=20, look="vivid")
    data = buffer.getvalue()
    assert data == sbtcodec.compress(small, 20, look="vivid")
    vivid = np.asarray(sbtcodec.decompress(data))
    assert np.array_equal(vivid, np.asarray(sbtcodec.decompress(data, realism=1)))
    assert not np.array_equal(vivid, np.asarray(sbtcodec.decompress(data, realism=0)))
    assert np.array_equal(vivid, np.asarray(Image.open(io.BytesIO(data))))
    monkeypatch.setattr(sbtcodec.pillow, "REALISM", 0.0)
    faithful = np.asarray(Image.open(io.BytesIO(data)))
    assert np.array_equal(faithful, np.asarray(sbtcodec.decompress(data, realism=0)))


def test_commands_say_it_and_follow_it(small: RGB, tmp_path: Path) -> None:
    image, file = tmp_path / "a.png", tmp_path / "a.sbt"
    Image.fromarray(small).save(image)
    assert run("compress", image, file, "-q", 20, "--look", "vivid", "--verify").exit_code == 0
    assert look_of(file.read_bytes()) is Look.VIVID
    assert json.loads(run("info", file, "--json").stdout)["look"] == "vivid"
    assert "meant to be seen: vivid" in run("info", file).stdout
    for asked, realism in (((), 1.0), (("--realism", 0), 0.0), (("--realism", 0.5), 0.5)):
        result = run("decompress", file, tmp_path / "b.png", "--force", "--json", *asked)
        assert json.loads(result.stdout)["realism"] == realism
    assert run("compress", image, file, "--force", "--look", "soft").exit_code == 2
    assert run("compress", image, file, "--force").exit_code == 0
    assert "meant" not in run("info", file).stdout
    result = run("decompress", file, tmp_path / "b.png", "--force", "--json")
    assert json.loads(result.stdout)["realism"] == 0


def test_a_collection_does_not_mix_looks() -> None:
    assert "meant to be seen vivid" in str(Settings(50, False, "sbt-9", look="vivid"))
    assert Settings(50, False, "sbt-9", look="vivid") != Settings(50, False, "sbt-9")
