"""Values on the command line with a notation of their own: sizes, targets, crops and scales."""

import pytest
import typer

from sbtcodec.cli.common.values import ScoreTarget, crop, scale, size_in_bytes, target
from sbtcodec.grid import Box


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20000", 20000),
        ("20kB", 20000),
        ("20 kb", 20000),
        ("20k", 20000),
        ("20KiB", 20480),
        (" 20 KiB ", 20480),
        ("1.5MB", 1_500_000),
        ("0.5MiB", 524288),
        ("1.0005kB", 1000),
        ("3B", 3),
    ],
)
def test_sizes(text, size):
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "kB", "-3", "20 bytes", "1,5MB", "0", "0.5", "1e3", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(typer.BadParameter, match="found"):
        size_in_bytes(text)


def test_targets():
    assert target("ssimulacra2=70") == ScoreTarget("ssimulacra2", 70)
    assert target("PSNR = 32.5") == ScoreTarget("psnr", 32.5)
    assert target("ms-ssim=0.95") == ScoreTarget("ms-ssim", 0.95)


@pytest.mark.parametrize("text", ["", "psnr", "psnr=", "vmaf=90", "ms-ssim=95", "psnr=nan", "=3"])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(typer.BadParameter, match="found"):
        target(text)


def test_crops():
    assert crop("10,20,300,200") == Box(20, 10, 220, 310)
    assert crop("0, 0, 1, 1") == Box(0, 0, 1, 1)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "-1,2,3,4", "1,2,0,4", "a,b,c,d"])
def test_what_is_no_crop_is_refused(text):
    with pytest.raises(typer.BadParameter, match="found"):
        crop(text)


def test_scales():
    assert [scale(text) for text in ("1", "1/1", "1/2", "1/4", "1/8")] == [1, 1, 2, 4, 8]


@pytest.mark.parametrize("text", ["", "2", "1/3", "1/16", "0.5", "50%"])
def test_what_is_no_scale_is_refused(text):
    with pytest.raises(typer.BadParameter, match="expected 1, 1/2, 1/4 or 1/8"):
        scale(text)
