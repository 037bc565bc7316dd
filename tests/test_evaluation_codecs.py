"""Codecs and qualities: real files that come back, and settings that are understood."""

import sys
from types import ModuleType

import numpy as np
import pytest
from evaluation_samples import StubModel, picture

from sbtcodec.errors import SbtError
from sbtcodec.evaluation import extras
from sbtcodec.evaluation.codecs import CLASSICAL, SbtCodec, load_codec
from sbtcodec.evaluation.metrics import psnr
from sbtcodec.evaluation.qualities import parse_qualities, parse_quality, quality_label

MAGIC = {"jpeg": b"\xff\xd8\xff", "webp": b"RIFF", "avif": b"\0\0\0", "jxl": b""}


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_codec_writes_its_format_and_grows_with_quality(name):
    codec, rgb = load_codec(name), picture()
    low, high = (codec.encode(rgb, quality) for quality in (10, 90))
    assert low.startswith(MAGIC[name])
    assert len(low) < len(high)
    decoded = codec.decode(high)
    assert (decoded.dtype, decoded.shape) == (np.uint8, rgb.shape)
    assert psnr(rgb, codec.decode(low)) < psnr(rgb, decoded)


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_classical_codec_refuses_qualities_it_does_not_have(name):
    codec = load_codec(name)
    for quality in ("globals", 101, 12.5, -1):
        with pytest.raises(SbtError, match="whole qualities"):
            codec.encode(picture(), quality)


@pytest.mark.parametrize("name", CLASSICAL)
def test_default_qualities_lie_in_the_range(name):
    codec = load_codec(name)
    low, high = codec.quality_range
    assert all(low <= quality <= high for quality in codec.default_qualities)
    assert list(codec.default_qualities) == sorted(codec.default_qualities)


def test_sbt_sends_globals_alone_when_asked(monkeypatch):
    module = ModuleType("sbtcodec.codec.codec")
    module.Codec = type("Codec", (), {"load": staticmethod(lambda device, **_: StubModel())})
    monkeypatch.setitem(sys.modules, "sbtcodec.codec.codec", module)
    codec = load_codec("sbt")
    assert codec.settings == "model stub-1"
    assert codec.default_qualities == ("globals", 0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    assert codec.encode(picture(), "globals").startswith(b"G")
    assert codec.encode(picture(), 50).startswith(b"Q")
    assert codec.decode(codec.encode(picture(), 50)).shape == picture().shape


def test_a_model_that_does_not_tell_its_identity_is_unknown():
    assert SbtCodec(object()).model_id == "unknown"


def test_an_unknown_codec_is_refused_by_name():
    with pytest.raises(SbtError, match="'bpg'; there are sbt, sbt:vivid, jpeg"):
        load_codec("bpg")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(SbtError, match=r"pytorch-msssim.*sbtcodec\[bench\]"):
        extras.import_extra("pytorch_msssim")


def test_qualities_read_back_from_their_labels():
    for quality in ("globals", 0, 12.5, 100):
        assert parse_quality(quality_label(quality)) == quality


@pytest.mark.parametrize("text", ["", "high", "-1", "101", "nan", "inf"])
def test_what_is_no_quality_is_refused(text):
    with pytest.raises(SbtError, match="neither a number"):
        parse_quality(text)


def test_quality_lists_are_for_all_codecs_or_for_one():
    names = ["sbt", "jpeg"]
    assert parse_qualities([], names) == {}
    assert parse_qualities(["globals,10,10, 50"], names) == {
        "sbt": ("globals", 10, 50),
        "jpeg": (10, 50),
    }
    assert parse_qualities(["jpeg=7", "1,2"], names) == {"sbt": (1, 2), "jpeg": (7,)}
    with pytest.raises(SbtError, match="'avif'; running: sbt, jpeg"):
        parse_qualities(["avif=1"], names)
