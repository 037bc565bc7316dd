"""Standard input and output as files: images and `.sbt` files through pipes."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_in import HEIGHT, ROOT, WIDTH, FakeCodec, replace_codec, runner

from sbtcodec.container import unpack


@pytest.fixture(autouse=True)
def codec(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return replace_codec(monkeypatch)


@pytest.fixture
def run(monkeypatch, capsysbinary):
    """Run with these bytes on standard input; exit code, and two streams as bytes."""
    program = runner(monkeypatch, capsysbinary)

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return program(*arguments)

    return run


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), "teal").save(buffer, "PNG")
    return buffer.getvalue()


def sbt():
    return FakeCodec().compress(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


@pytest.mark.parametrize("arguments", [("-", "-"), ("-",), ("-", "-o", "-")])
def test_compress_from_input_to_output_prints_nothing_else(run, arguments):
    code, out, err = run("compress", *arguments, stdin=png())
    assert (code, err) == (0, b"")
    assert unpack(out).header.width == WIDTH
    assert list(Path().iterdir()) == []


def test_compress_between_streams_and_files(run):
    Path("a.png").write_bytes(png())
    code, out, err = run("compress", "a.png", "-")
    assert (code, err) == (0, b"")
    assert run("compress", "-", "a.sbt", "--quiet", stdin=png()) == (0, b"", b"")
    assert Path("a.sbt").read_bytes() == out


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (None, "PNG"),
        ("png", "PNG"),
        ("webp", "WEBP"),
        ("tif", "TIFF"),
        ("bmp", "BMP"),
        ("ppm", "PPM"),
        ("jpg", "JPEG"),
    ],
)
def test_decompress_to_output_writes_the_format_asked_for(run, name, kind):
    arguments = () if name is None else ("--format", name)
    code, out, err = run("decompress", "-", "-", *arguments, stdin=sbt())
    assert (code, err) == (0, b"")
    assert Image.open(io.BytesIO(out)).format == kind
    assert Image.open(io.BytesIO(out)).size == (WIDTH, HEIGHT)


def test_json_goes_to_the_other_stream_where_output_holds_the_file(run):
    code, out, err = run("compress", "-", "-", "--json", stdin=png())
    assert code == 0
    told = json.loads(err)
    assert (told["input"], told["output"], told["bytes"]) == ("-", "-", len(out))


def test_info_and_verify_read_standard_input(run):
    code, out, _ = run("info", "-", stdin=sbt())
    assert (code, out.splitlines()[0]) == (0, b"standard input")
    code, out, _ = run("verify", "-", stdin=sbt())
    assert code == 0
    assert out.startswith(b"OK  standard input  ")


def test_bad_input_is_told_and_nothing_is_written(run):
    code, out, err = run("compress", "-", "-", stdin=b"text")
    assert (code, out) == (5, b"")
    assert err.startswith(b"sbtcodec: standard input: ")
    code, out, err = run("decompress", "-", "a.png", stdin=png())
    assert (code, out) == (3, b"")
    assert b"standard input: this is not an .sbt file" in err
    assert run("info", "-")[0] == 3
    assert list(Path().iterdir()) == []


def test_a_terminal_gets_no_file_without_force(run, monkeypatch):
    Path("a.png").write_bytes(png())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = run("compress", "a.png", "-")
    assert (code, out) == (6, b"")
    assert b"the output is a terminal" in err
    code, out, _ = run("compress", "a.png", "-", "--force")
    assert (code, unpack(out).header.width) == (0, WIDTH)


def test_a_file_named_like_a_stream_can_be_given(run):
    Path("-").write_bytes(png())
    assert run("compress", "./-", "./-.sbt", "--quiet") == (0, b"", b"")
    assert Path("-.sbt").exists()


def test_a_stream_is_no_part_of_a_batch(run):
    for arguments in (("-", "a.png", "b.png"), ("-", "--out-dir", "d")):
        code, out, err = run("compress", *arguments, stdin=png())
        assert (code, out) == (2, b"")
        assert b"cannot be part of a batch" in err
    assert run("verify", "-", "a.sbt")[0] == 2


def test_a_format_that_contradicts_the_name_is_wrong_usage(run):
    Path("a.sbt").write_bytes(sbt())
    code, _, err = run("decompress", "a.sbt", "a.png", "--format", "webp")
    assert code == 2
    assert b"leave one of them out" in err
    assert run("decompress", "a.sbt", "a.tiff", "--format", "tif")[0] == 0
    assert run("decompress", "a.sbt", "--format", "bmp")[0] == 0
    assert Image.open("a.bmp").format == "BMP"


@pytest.mark.skipif(sys.platform == "win32", reason="shells differ")
def test_a_closed_pipe_ends_quietly(tmp_path):
    import subprocess

    noise = np.random.default_rng(1).integers(0, 256, (800, 800, 3)).astype(np.uint8)
    Image.fromarray(noise).save("noise.png")
    (tmp_path / "program.py").write_text(
        "import sys, types\n"
        "class Codec:\n"
        "    load = classmethod(lambda cls, device, **_: cls())\n"
        "    compress = lambda self, image, quality, **options: bytes(10**6)\n"
        "sys.modules['sbtcodec.codec.codec'] = types.SimpleNamespace(Codec=Codec)\n"
        "from sbtcodec.cli.common import shared_codec\n"
        "shared_codec.light_is_installed = lambda: False\n"
        "from sbtcodec.cli import main\n"
        "main()\n"
    )
    script = f"PYTHONPATH='{ROOT}' '{sys.executable}' program.py compress noise.png - | head -c 9"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=60)
    assert done.stdout == bytes(9)
    assert done.stderr == b""


def test_a_part_and_a_thumbnail_can_be_decoded(run):
    code, out, err = run("decompress", "-", "-", "--crop", "1,2,3,4", stdin=sbt())
    assert (code, err) == (0, b"")
    assert Image.open(io.BytesIO(out)).size == (3, 4)
    whole = Image.open(io.BytesIO(run("decompress", "-", "-", stdin=sbt())[1])).size
    code, out, err = run("decompress", "-", "-", "--scale", "1/2", stdin=sbt())
    assert (code, err) == (0, b"")
    assert Image.open(io.BytesIO(out)).size == tuple(-(-side // 2) for side in whole)


def test_a_crop_outside_of_the_picture_is_wrong_usage(run):
    code, out, err = run("decompress", "-", "-", "--crop", "0,0,9999,1", stdin=sbt())
    assert (code, out) == (2, b"")
    assert b"leaves the picture" in err
