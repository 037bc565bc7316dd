"""The vivid look of what is not decoded from a file: of tokens, samples and completed pictures."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import changed_look, put_look
from PIL import Image, PngImagePlugin
from stand_in import assert_fails, runner

from sbtcodec.codec.codec import Codec
from sbtcodec.errors import ArgumentError, ModelMismatchError
from sbtcodec.models.release import load_release

MARK = "detail synthesised by sbtcodec, realism "
LOSE = ("--lose", "50,40,40,40")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("photo.png")


@pytest.fixture(scope="module")
def weights(generator_weights, tmp_path_factory):
    """A folder with the tiny model, its generator and its look."""
    folder = tmp_path_factory.mktemp("both") / "weights"
    shutil.copytree(generator_weights, folder)
    release = load_release(folder=folder)
    put_look(folder, release, changed_look(release))
    return folder


@pytest.fixture(scope="module")
def both(weights):
    return Codec.load("cpu", weights=weights)


@pytest.fixture
def run(monkeypatch, capsys, weights):
    return with_weights(monkeypatch, capsys, weights)


@pytest.fixture
def run_without(monkeypatch, capsys, generator_weights):
    return with_weights(monkeypatch, capsys, generator_weights)


def with_weights(monkeypatch, capsys, folder):
    plain = runner(monkeypatch, capsys)

    def run(*arguments):
        return plain(*arguments, "--weights", folder, "--device", "cpu", "--steps", 2)

    return run


def pixels(path):
    return np.asarray(Image.open(path))


def xmp_of(path):
    return Image.open(path).info["XML:com.adobe.xmp"]


@pytest.mark.parametrize("realism", [0, 0.5, 1])
@pytest.mark.parametrize("globals_only", [False, True])
def test_tokens_show_what_their_file_shows(both, photo, globals_only, realism):
    data = both.compress(photo, 30, globals_only=globals_only)
    shown = both.detokenize(both.tokens_of(data), realism=realism)
    decoded = both.decompress(data, realism=realism)
    assert np.array_equal(np.asarray(shown), np.asarray(decoded))
    assert shown.info == decoded.info
    assert (MARK.encode() in shown.info.get("xmp", b"")) == (realism > 0)


def test_gray_tokens_have_a_gray_look(both, photo):
    tokens = both.tokenize(Image.fromarray(photo).convert("L"), 30)
    assert both.detokenize(tokens, realism=1).mode == "L"


def test_a_look_that_cannot_be_is_refused(both, tiny_codec, photo):
    tokens = both.tokenize(photo, 30)
    with pytest.raises(ArgumentError, match="realism"):
        both.detokenize(tokens, realism=1.5)
    with pytest.raises(ModelMismatchError, match="no vivid look"):
        tiny_codec.detokenize(tokens, realism=1)


def test_samples_are_the_same_files_seen_vividly(run, both):
    options = ("--n", 2, "--seed", 3)
    assert run("sample", "plain", *options)[0] == 0
    code, out, _ = run("sample", "vivid", *options, "--realism", 1, "--json")
    assert code == 0 and json.loads(out.splitlines()[0])["realism"] == 1
    for name in ("any-3-0000", "any-3-0001"):
        data = Path(f"vivid/{name}.sbt").read_bytes()
        assert data == Path(f"plain/{name}.sbt").read_bytes()
        assert np.array_equal(pixels(f"vivid/{name}.png"), both.decode(data, realism=1).rgb)
        assert MARK + "1.0" in xmp_of(f"vivid/{name}.png")
        assert "/trainedAlgorithmicMedia" in xmp_of(f"vivid/{name}.png")
        assert MARK not in xmp_of(f"plain/{name}.png")
    assert MARK in xmp_of("vivid/sheet.png")
    assert not np.array_equal(pixels("vivid/sheet.png"), pixels("plain/sheet.png"))


def test_a_picture_is_completed_as_its_vivid_look(run, both, photo):
    code, out, err = run("complete", "photo.png", "out.png", *LOSE, "--realism", 1, "--json")
    assert (code, err) == (0, "") and json.loads(out)["realism"] == 1
    kept = np.ones(photo.shape[:2], bool)
    kept[40:80, 50:90] = False
    decoded = both.decode(both.compress(photo), realism=1).rgb
    assert np.array_equal(pixels("out.png")[kept], decoded[kept])
    run("complete", "photo.png", "plain.png", *LOSE)
    drawn = ~kept
    drawn[:60] = drawn[:, :70] = False  # away from the border, where the difference fades
    assert (pixels("out.png")[drawn] != pixels("plain.png")[drawn]).any()
    assert MARK + "1.0" in xmp_of("out.png")
    assert "synthesised by sbtcodec, in part" in xmp_of("out.png")
    code, _, err = run("complete", "photo.png", "out.bmp", *LOSE, "--realism", 1)
    assert code == 0 and "XMP" in err


@pytest.mark.parametrize("packet", ["<x:xmpmeta>mine</x:xmpmeta>", "<r:RDF>mine</r:RDF>"])
def test_what_a_picture_s_own_xmp_data_says_then_is_told_once(run, photo, packet):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", packet)
    Image.fromarray(photo).save("own.png", pnginfo=chunks)
    _, _, err = run("complete", "own.png", "out.png", *LOSE, "--realism", 1)
    xmp, added = xmp_of("out.png"), "RDF" in packet
    assert "mine" in xmp and (MARK in xmp) == added
    assert err.count("XMP") == (0 if added else 1)
    assert "a part of the picture" not in err
    for realism in (0, 1):
        _, _, err = run("complete", "own.png", "out.bmp", "-f", *LOSE, "--realism", realism)
        assert err.count("XMP data is dropped") == 1
        assert "is that of the original" not in err


def test_pictures_that_are_there_keep_their_look_and_say_so(run):
    run("sample", "out", "--n", 1, "--quiet")
    before = Path("out/any-1-0000.png").read_bytes()
    Path("out/sheet.png").unlink()
    options = ("--n", 2, "--realism", 0.5, "--skip-existing")
    _, out, _ = run("sample", "out", *options, "--json")
    first, second = (json.loads(line) for line in out.splitlines()[:2])
    assert (first["state"], first["realism"]) == ("skipped", None)
    assert (second["state"], second["realism"]) == ("done", 0.5)
    assert Path("out/any-1-0000.png").read_bytes() == before
    assert MARK + "0.5" in xmp_of("out/any-1-0001.png")
    _, out, _ = run("sample", "bare", "--n", 1, "--realism", 0.5, "--strip")
    assert "realism 0.5" in out
    for name in os.listdir("bare"):
        assert name.endswith(".sbt") or Image.open(f"bare/{name}").info == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sample", "out", "--realism", "1.1"), "--realism"),
        (("sample", "out", "--realism", "nan"), "expected a number"),
        (("sample", "out", "--realism", "1", "--no-png", "--no-sheet"), "have no look"),
        (("complete", "photo.png", "out.png", *LOSE, "--realism", "-1"), "--realism"),
        (("complete", "photo.png", "out.png", *LOSE, "--realism", "nan"), "expected a number"),
        (("complete", "photo.png", "out.sbt", *LOSE, "--realism", "1"), "have no look"),
    ],
)
def test_a_realism_that_cannot_be_writes_nothing(run, arguments, sentence):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and sentence in " ".join(err.split())
    assert os.listdir() == ["photo.png"]


def test_without_a_look_nothing_is_written(run_without):
    for arguments in (("sample", "out"), ("complete", "photo.png", "out.png", *LOSE)):
        assert_fails(run_without(*arguments, "--realism", 1), 4, "leave --realism out")
        assert os.listdir() == ["photo.png"]
