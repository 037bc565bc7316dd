"""Rates as people ask for them: a size, bits per pixel, a score; effort; stripping."""

import json
from pathlib import Path

import numpy as np
import pytest
from costs import bits_per_pixel
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from sbtcodec.cli import app
from sbtcodec.codec.codec import Codec
from sbtcodec.container import describe
from sbtcodec.errors import RateError
from sbtcodec.evaluation.metrics import psnr


@pytest.fixture
def folder(
    tmp_path: Path, photo: NDArray[np.uint8], codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> Path:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Codec, "load", classmethod(lambda *_, **__: codec))
    return tmp_path


def run(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["compress", "photo.png", "--json", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.output)
    return found


def test_a_size_is_never_exceeded_and_nearly_reached(folder: Path) -> None:
    told = run("--size", "1.5kB")
    size = (folder / "photo.sbt").stat().st_size
    assert told["bytes"] == size
    assert 1500 * 0.95 < size <= 1500
    assert describe((folder / "photo.sbt").read_bytes()).quality == pytest.approx(told["quality"])


def test_bits_per_pixel_are_those_of_the_file(folder: Path) -> None:
    told = run("--bpp", "0.3")
    assert 0.28 < float(str(told["bpp"])) <= 0.3


def test_a_score_is_reached_by_the_decoded_picture(
    folder: Path, codec: Codec, photo: NDArray[np.uint8]
) -> None:
    told = run("--target", "psnr=28")
    decoded = codec.decode((folder / "photo.sbt").read_bytes())
    assert 28 <= psnr(photo, decoded.rgb) < 28.3
    assert told["psnr"] == pytest.approx(psnr(photo, decoded.rgb), abs=0.05)


@pytest.mark.parametrize(
    "arguments", [("--size", "10"), ("--bpp", "0.0001"), ("--target", "psnr=99")]
)
def test_what_no_file_has_is_an_error_that_says_what_can_be_had(
    folder: Path, arguments: tuple[str, str]
) -> None:
    with pytest.raises(RateError, match=r"photo.png: .*(smallest|no quality)"):
        run(*arguments)
    assert not (folder / "photo.sbt").exists()
    assert RateError.exit_code == 11


def test_aims_exclude_each_other(folder: Path) -> None:
    for pair in (("-q", "30", "--size", "1kB"), ("--bpp", "1", "--target", "psnr=30")):
        done = CliRunner().invoke(app, ["compress", "photo.png", *pair])
        assert done.exit_code == 2
        assert "exclude" in done.output


def test_effort_makes_a_better_file(folder: Path, codec: Codec, photo: NDArray[np.uint8]) -> None:
    cost = {}
    for effort in ("3", "4"):
        run("-q", "60", "--effort", effort, "--force")
        data = (folder / "photo.sbt").read_bytes()
        cost[effort] = bits_per_pixel(codec, data, photo, 60)
    assert cost["4"] < 0.99 * cost["3"]


def test_strip_leaves_out_what_is_not_pixels(folder: Path, photo: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a cat"
    Image.fromarray(photo).save("photo.png", exif=exif)
    run()
    assert [kind for kind, _ in describe(Path("photo.sbt").read_bytes()).chunks] == ["EXIF"]
    run("--strip", "--force")
    assert describe(Path("photo.sbt").read_bytes()).chunks == ()
