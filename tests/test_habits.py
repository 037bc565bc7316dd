"""What users of other tools expect of the command line: options, outputs, warnings, objects."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_in import FakeCodec, assert_fails, replace_codec, runner
from typer.main import get_command

from sbtcodec.cli import app
from sbtcodec.cli.common.report import printable
from sbtcodec.container import code_of, is_sbt, quality_of


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 40), "teal").save("photo.png")


@pytest.fixture
def run(monkeypatch, capsys):
    replace_codec(monkeypatch)
    return runner(monkeypatch, capsys)


def sbt(*names):
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(FakeCodec().compress(np.zeros((40, 60, 3), np.uint8)))


@pytest.mark.parametrize("name", ["", *get_command(app).commands])
def test_the_short_option_for_help_is_known_everywhere(run, name):
    arguments = [name] if name else []
    assert run(*arguments, "-h") == run(*arguments, "--help")
    assert run(*arguments, "-h")[0] == 0


# Quality


def test_every_whole_quality_comes_back_as_it_was_asked_for():
    assert [quality_of(code_of(quality)) for quality in range(101)] == list(range(101))
    assert [code_of(quality_of(code)) for code in range(256)] == list(range(256))
    assert (quality_of(0), quality_of(255)) == (0, 100)


@pytest.mark.parametrize(("asked", "told"), [("50", 50), ("37", 37), ("0", 0), ("33.3", 33.33)])
def test_compress_and_info_tell_the_same_quality(run, asked, told):
    code, out, _ = run("compress", "photo.png", "-q", asked, "--json")
    assert (code, json.loads(out)["quality"]) == (0, told)
    assert json.loads(run("info", "photo.sbt", "--json")[1])["quality"] == told
    assert f"quality {told:g}," in run("info", "photo.sbt")[1]


# info of several


def test_info_takes_files_folders_and_patterns_and_goes_on_after_a_failure(run):
    sbt("a.sbt", "in/b.sbt", "in/c.sbt")
    Path("bad.sbt").write_bytes(b"text")
    code, out, err = run("info", "a.sbt", "bad.sbt", "in", "in/c*.sbt", "none.sbt", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    names = ["a.sbt", "bad.sbt", "in/b.sbt", "in/c.sbt", "none.sbt"]
    assert (code, [line["input"] for line in told]) == (3, names)
    assert [line["state"] for line in told] == ["done", "failed", "done", "done", "failed"]
    assert told[1]["exit_code"] == 3
    assert err.count("\n") == 2
    code, out, _ = run("info", "a.sbt", "in")
    assert (code, out.count("complete\n")) == (0, 3)


# Outputs


def test_an_output_that_is_a_folder_gets_the_usual_name(run):
    Path("out").mkdir()
    assert run("compress", "photo.png", "-o", "out/", "--quiet") == (0, "", "")
    assert run("compress", "photo.png", "-o", "out", "--keep-extension", "--quiet")[0] == 0
    assert sorted(os.listdir("out")) == ["photo.png.sbt", "photo.sbt"]
    assert run("decompress", "out/photo.sbt", "-o", "out", "--format", "webp", "--quiet")[0] == 0
    assert Image.open("out/photo.webp").size == (60, 40)


@pytest.mark.parametrize("arguments", [("-o", "new/"), ("new/",)])
def test_an_output_folder_that_is_not_there_is_refused_with_advice(run, arguments):
    code, out, err = run("compress", "photo.png", *arguments)
    assert (code, out) == (2, "")
    assert "--out-dir new/" in " ".join(err.split())
    assert os.listdir() == ["photo.png"]


@pytest.mark.parametrize("name", ["b.png", "b.JPG", "b.mpo"])
@pytest.mark.parametrize("option", [(), ("-o",)])
def test_a_compressed_file_does_not_get_the_name_of_an_image(run, name, option):
    code, out, err = run("compress", "photo.png", *option, name)
    assert (code, out) == (2, "")
    assert "name it b.sbt" in " ".join(err.split())
    assert run("compress", "photo.png", *option, name, "--force", "--quiet")[0] == 0
    assert is_sbt(Path(name).read_bytes())
    assert run("compress", "photo.png", *option, "any.name", "--quiet")[0] == 0


def test_tokens_go_to_standard_output_and_into_folders(monkeypatch, capsysbinary, tiny_codec):
    replace_codec(monkeypatch)
    monkeypatch.setattr(FakeCodec, "load", lambda *_, **__: tiny_codec)
    Path("a.sbt").write_bytes(tiny_codec.compress(np.zeros((40, 60, 3), np.uint8)))
    run = runner(monkeypatch, capsysbinary)
    code, out, err = run("tokens", "a.sbt", "-o", "-")
    assert (code, out[:2], err) == (0, b"PK", b"")
    Path("out").mkdir()
    code, told, _ = run("tokens", "a.sbt", "-o", "out/", "--json")
    assert (code, json.loads(told)["output"]) == (0, "out/a.npz")
    assert run("tokens", "a.sbt", "--quiet")[0] == 0
    assert len(Path("a.npz").read_bytes()) == len(out)


# What is told


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("compress", "none.png"), 5),
        (("compress", "photo.png", "--device", "cuda"), 8),
        (("decompress", "photo.png", "back.png"), 3),
        (("tokens", "photo.png"), 3),
        (("info", "photo.png"), 3),
    ],
)
def test_one_file_that_fails_is_an_object_too(run, arguments, exit_code):
    code, out, err = run(*arguments, "--json")
    told = json.loads(out)
    assert code == told["exit_code"] == exit_code
    assert (told["input"], told["state"]) == (arguments[1], "failed")
    assert err == f"sbtcodec: {told['error']}\n"


def test_wrong_usage_is_no_object(run):
    assert run("compress", "photo.png", "--quality", "101", "--json")[:2] == (2, "")


def test_a_file_that_is_larger_than_its_image_is_told(run):
    Path("tiny.pgm").write_bytes(b"P5 1 1 255 x")
    code, out, err = run("compress", "tiny.pgm", "--json")
    (notice,) = json.loads(out)["notices"]
    assert code == 0
    assert notice.startswith("the .sbt file is larger than the image: ")
    assert notice in err
    assert "larger" not in run("compress", "photo.png")[2]


def test_empty_files_are_called_empty(run):
    Path("empty.png").touch()
    Path("none.sbt").touch()
    assert_fails(run("compress", "empty.png"), 5, "empty.png is empty")
    assert_fails(run("decompress", "none.sbt"), 3, "none.sbt: the file is empty")


@pytest.mark.skipif(os.name != "posix", reason="other systems refuse such names")
@pytest.mark.parametrize("character", ["\x1b", "\n", "\r", "\x7f", "\x9b", "\u202e", "\b"])
def test_no_name_of_a_file_steers_the_terminal(run, character):
    name = f"a{character}[31mb.png"
    os.rename("photo.png", name)
    for arguments in (
        ("compress", name),
        ("compress", name),
        ("info", name),
        ("info", "none" + name),
    ):
        _, out, err = run(*arguments)
        assert character not in (out + err).replace("\n", "" if character == "\n" else "\n")
        assert (out + err).count("\n") == 1
    assert character not in run("compress", name, f"{name}/")[2].replace("\n", "")


def test_printable_text_is_left_alone():
    for text in ("photo é 日本 🎉.png", "a b", ""):
        assert printable(text) == text
    assert printable("\x1b\udcff\n") == r"\x1b\udcff\n"


def test_every_word_for_the_machine_is_ascii(run):
    os.rename("photo.png", "é.png")
    assert run("compress", "é.png", "--json")[1].isascii()
    assert sys.stdout is not None
