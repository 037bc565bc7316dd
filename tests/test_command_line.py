"""The command line: what each command writes and prints, and how each failure ends.

The codec is a stand-in here, so that these tests need neither torch nor weights.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_in import (
    HEIGHT,
    WIDTH,
    FakeCodec,
    assert_fails,
    replace_codec,
    runner,
    subprocess_run,
)

import sbtcodec
from sbtcodec.cli.common import paths
from sbtcodec.container import Chunk, Container, Header, Layer, Part, pack, unpack
from sbtcodec.errors import ModelMismatchError


@pytest.fixture(autouse=True)
def codec(monkeypatch):
    return replace_codec(monkeypatch)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(folder):
    Image.new("RGB", (WIDTH, HEIGHT), "teal").save("photo.png")
    return Path("photo.png")


@pytest.fixture
def sbt(folder):
    Path("photo.sbt").write_bytes(FakeCodec().compress(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    return Path("photo.sbt")


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


# compress


def test_compress_writes_beside_the_image_and_tells_the_size(run, photo):
    code, out, err = run("compress", photo)
    data = Path("photo.sbt").read_bytes()
    assert (code, err) == (0, "")
    assert unpack(data).header.width == WIDTH
    bpp = 8 * len(data) / (WIDTH * HEIGHT)
    assert out.startswith(f"photo.sbt  {len(data)} bytes  {bpp:.3f} bpp  of ")
    assert "image" not in out


def test_compress_passes_its_options_on(run, photo):
    assert run("compress", photo, "a.sbt", "-q", "100", "--quiet") == (0, "", "")
    assert unpack(Path("a.sbt").read_bytes()).header.quality == 255
    assert run("compress", photo, "-o", "b.sbt", "--globals-only", "--quiet") == (0, "", "")
    assert unpack(Path("b.sbt").read_bytes()).header.detail_layers == 0


def test_compress_as_json_is_one_object_with_the_notices(run, folder):
    Image.new("P", (WIDTH, HEIGHT)).save("few.png")
    code, out, err = run("compress", "few.png", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["bytes"] == Path("few.sbt").stat().st_size
    assert (told["width"], told["height"], told["quality"]) == (WIDTH, HEIGHT, 50)
    assert told["notices"] == ["palette colours are converted to RGB"]
    assert err == "sbtcodec: warning: few.png: palette colours are converted to RGB\n"
    assert {"input", "output", "bpp", "seconds"} <= told.keys()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_comes_back_where_the_format_has_it(run, folder, mode):
    alpha = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    image = Image.new("L", (WIDTH, HEIGHT), 100).convert(mode)
    image.putalpha(alpha)
    image.save("clear.png")
    assert run("compress", "clear.png", "--quiet") == (0, "", "")
    assert run("decompress", "clear.sbt", "back.png", "--quiet") == (0, "", "")
    back = Image.open("back.png")
    assert back.mode == mode
    assert back.getchannel("A").tobytes() == alpha.tobytes()
    code, out, err = run("decompress", "clear.sbt", "back.jpg", "--json")
    assert code == 0
    (notice,) = json.loads(out)["notices"]
    assert notice == "transparency is composited over white, as JPEG has none"
    assert notice in err


@pytest.mark.parametrize("value", ["-1", "101", "nan", "much"])
def test_a_quality_out_of_range_is_wrong_usage(run, photo, value):
    code, out, err = run("compress", photo, f"--quality={value}")
    assert (code, out) == (2, "")
    assert "--quality" in err
    assert not Path("photo.sbt").exists()


def test_an_existing_output_stays_as_it_is_without_force(run, photo):
    Path("photo.sbt").write_bytes(b"mine")
    assert_fails(run("compress", photo), 6, "photo.sbt exists already")
    assert Path("photo.sbt").read_bytes() == b"mine"
    assert run("compress", photo, "--force")[0] == 0
    assert Path("photo.sbt").read_bytes() != b"mine"


def test_the_input_is_never_replaced(run, photo):
    before = photo.read_bytes()
    os.link(photo, "link.png")
    for output in ("photo.png", "./photo.png", "link.png"):
        assert_fails(run("compress", photo, output, "--force"), 6, "is the input itself")
    assert photo.read_bytes() == before


def test_a_missing_folder_is_told_before_the_codec_is_loaded(run, photo, codec):
    del codec.Codec
    assert_fails(run("compress", photo, "nowhere/a.sbt"), 6, "does not exist; create it")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_without_permission_is_told(run, photo):
    Path("closed").mkdir(mode=0o555)
    assert_fails(run("compress", photo, "closed/a.sbt"), 6, "is not writable")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("text.png", "is not an image"), ("none.png", "does not exist")],
)
def test_what_is_not_an_image_is_told(run, folder, codec, name, sentence):
    del codec.Codec
    Path("text.png").write_text("text")
    assert_fails(run("compress", name), 5, sentence)


def test_a_missing_device_is_told(run, photo):
    assert_fails(run("compress", photo, "--device", "cuda"), 8, "no CUDA device")
    assert run("compress", photo, "--device", "tpu")[0] == 2


# decompress


def test_decompress_writes_a_png_beside_the_file(run, sbt):
    code, out, err = run("decompress", sbt)
    assert (code, err) == (0, "")
    assert out.startswith(f"photo.png  {WIDTH} x {HEIGHT} pixels  2 of 2 detail layers  ")
    assert Image.open("photo.png").size == (WIDTH, HEIGHT)


def test_decompress_takes_the_format_from_the_extension(run, sbt):
    assert run("decompress", sbt, "a.webp", "--quiet") == (0, "", "")
    assert Image.open("a.webp").format == "WEBP"


def test_layers_limits_what_is_decoded(run, sbt):
    for layers in (0, 1, 2, 9):
        code, out, _ = run("decompress", sbt, "a.png", "--layers", layers, "--force", "--json")
        assert code == 0
        assert json.loads(out)["layers"] == min(layers, 2)
        assert json.loads(out)["declared_layers"] == 2


def test_an_existing_picture_stays_as_it_is_without_force(run, photo, sbt):
    before = photo.read_bytes()
    assert_fails(run("decompress", sbt), 6, "photo.png exists already")
    assert photo.read_bytes() == before


def test_a_format_that_cannot_be_written_is_told_before_the_codec_is_loaded(run, sbt, codec):
    del codec.Codec
    assert_fails(run("decompress", sbt, "a.xyz"), 5, "what can be written is .png")


def test_a_cut_file_is_refused_unless_partial_decoding_is_asked_for(run, sbt):
    sbt.write_bytes(sbt.read_bytes()[:-20])
    assert_fails(run("decompress", sbt), 3, "photo.sbt: the file is cut inside detail layer 1")
    assert not Path("photo.png").exists()
    code, out, err = run("decompress", sbt, "--allow-partial", "--json")
    assert code == 0
    assert err == "sbtcodec: warning: photo.sbt: cut after detail layer 0 of 2\n"
    assert json.loads(out)["notices"] == ["cut after detail layer 0 of 2"]


@pytest.mark.parametrize("command", ["decompress", "info"])
def test_what_is_not_an_sbt_is_told_before_the_codec_is_loaded(run, photo, codec, command):
    del codec.Codec
    Path("empty").touch()
    assert_fails(run(command, photo), 3, "photo.png: this is not an .sbt file")
    assert_fails(run(command, "empty"), 3, "empty: the file is empty")
    assert_fails(run(command, "none.sbt"), 3, "none.sbt does not exist; check the path")
    assert_fails(run(command, "a" * 999), 3, "cannot be read")


def test_info_on_a_folder_is_told(run, folder):
    assert_fails(run("info", "."), 3, "the folder . holds no .sbt files")


def test_a_file_larger_than_any_sbt_is_not_read_whole(run, sbt, monkeypatch):
    monkeypatch.setattr(paths, "MAX_FILE_BYTES", 20)
    assert_fails(run("info", sbt), 3, "has over 20 bytes")


def test_a_missing_model_is_told_with_the_name_of_the_file(run, sbt, monkeypatch):
    def decode(*_, **__):
        raise ModelMismatchError("made with model 9")

    monkeypatch.setattr(FakeCodec, "decode", decode)
    assert_fails(run("decompress", sbt), 4, "photo.sbt: made with model 9")


# info


def test_info_shows_size_layers_and_chunks(run, folder):
    header = Header(3, 7, 640, 480, 255, 1)
    layers = (Layer((Part(b"x" * 1231, bytes(2)),)), Layer((Part(b"y" * 98, bytes(2)),)))
    Path("a.sbt").write_bytes(pack(Container(header, layers, (Chunk("ICCP", b"z" * 50),))))
    code, out, err = run("info", "a.sbt")
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:2] == ["a.sbt", "640 x 480 pixels, model 7, quality 100, format version 3"]
    assert "base layer 1 233 0.0321 present" in lines
    assert "detail layer 1 of 1 100 0.0026 present" in lines
    assert any(line.startswith("overhead") and "ICCP 50" in line for line in lines)
    assert lines[-1] == "complete"


@pytest.mark.parametrize(
    ("cut", "sentence"),
    [
        (14, "cut inside a layer: "),  # a byte is left, too little for the last layer
        (15, "cut after a whole layer: "),
        (19, "cut inside a layer: "),
        (29, "cut after a whole layer: "),
        (31, "cut before the end of the base layer: "),
    ],
)
def test_info_tells_where_a_file_is_cut(run, sbt, cut, sentence):
    sbt.write_bytes(sbt.read_bytes()[:-cut])
    code, out, _ = run("info", sbt)
    assert code == 0
    assert out.splitlines()[-1].startswith(sentence)


def test_info_as_json(run, sbt):
    told = json.loads(run("info", sbt, "--json")[1])
    assert [layer["present_bytes"] for layer in told["layers"]] == [6, 14, 15]
    assert told["complete"] is True
    assert told["file_bytes"] == told["overhead_bytes"] + 6 + 14 + 15


# demo


def test_demo_writes_five_files_and_a_table(run):
    code, out, err = run("demo", "made")
    assert (code, err) == (0, "")
    names = {"demo.png", "demo-globals.sbt", "demo-q20.sbt", "demo-q50.sbt", "demo-comparison.png"}
    assert {path.name for path in Path("made").iterdir()} == names
    assert Image.open("made/demo-comparison.png").size[0] > 2 * 768
    assert out.count(" dB") == 3


def test_demo_replaces_nothing_without_force(run, codec):
    del codec.Codec
    Path("made").mkdir()
    Path("made/demo-q50.sbt").write_bytes(b"mine")
    assert_fails(run("demo", "made"), 6, "demo-q50.sbt exists already")
    assert [path.name for path in Path("made").iterdir()] == ["demo-q50.sbt"]
    Path("file").touch()
    assert_fails(run("demo", "file"), 6, "the folder file cannot be made")


# How the program ends


def test_an_interrupt_leaves_no_output(run, photo, monkeypatch):
    def compress(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeCodec, "compress", compress)
    assert_fails(run("compress", photo), 130, "interrupted")
    assert list(Path().iterdir()) == [photo]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_while_writing_leaves_no_output(photo):
    script = """
import os, signal, sys, types
import numpy
def interrupted(descriptor): os.kill(os.getpid(), signal.SIGINT)
os.fsync = interrupted
class Codec:
    load = classmethod(lambda cls, device, **_: cls())
    compress = lambda self, image, quality, **options: bytes(100)
sys.modules["sbtcodec.codec.codec"] = types.SimpleNamespace(Codec=Codec)
from sbtcodec.cli.common import shared_codec
shared_codec.light_is_installed = lambda: False
from sbtcodec.cli import main
main()
"""
    # A shell may have started the tests in the background, with SIGINT ignored.
    done = subprocess_run(
        "-c",
        script,
        "compress",
        photo,
        capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stderr) == (130, "sbtcodec: interrupted\n")
    assert list(Path().iterdir()) == [photo]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."),
    ],
)
def test_no_memory_is_told(run, photo, monkeypatch, error):
    def compress(*_, **__):
        raise error

    monkeypatch.setattr(FakeCodec, "compress", compress)
    assert_fails(run("compress", photo), 1, "not enough memory")


def test_a_bug_is_one_line_and_its_traceback_on_demand(run, photo, monkeypatch):
    def compress(*_, **__):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(FakeCodec, "compress", compress)
    monkeypatch.delenv("SBTCODEC_DEBUG", raising=False)
    assert_fails(run("compress", photo), 70, "a bug (ZeroDivisionError: division by zero)")
    monkeypatch.setenv("SBTCODEC_DEBUG", "1")
    code, _, err = run("compress", photo)
    assert code == 70
    assert "Traceback" in err
    assert "in compress" in err


def test_a_closed_pipe_is_quiet_and_a_full_disk_is_told(sbt):
    reading, writing = os.pipe()
    os.close(reading)
    for arguments in (("info", sbt), ("info", sbt, "--json"), ("--help",)):
        done = subprocess_run("-m", "sbtcodec", *arguments, stdout=writing, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (1, "")
    os.close(writing)
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            done = subprocess_run(
                "-m", "sbtcodec", "info", sbt, stdout=full, stderr=subprocess.PIPE
            )
        assert done.returncode == 6
        assert done.stderr.startswith("sbtcodec: the output cannot be written: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_need_not_be_text(run, photo):
    name = os.fsdecode(b"\xff.png")
    photo.rename(name)
    code, out, _ = run("compress", name)
    assert (code, out.split()[0]) == (0, "\\udcff.sbt")
    assert json.loads(run("compress", name, "--force", "--json")[1])["input"] == name


# Help, and starting at once


def test_help_lists_commands_and_exit_codes(run):
    code, out, _ = run("--help")
    assert code == 0
    for word in ("compress", "decompress", "info", "demo", "--version"):
        assert word in out
    for line in ("0  done", "3  not a readable .sbt file", "6  the output exists", "130  interr"):
        assert line in out


def test_version(run):
    assert run("--version") == (0, f"sbtcodec {sbtcodec.__version__}\n", "")


def test_without_a_command_help_is_shown(run):
    code, out, err = run()
    assert code == 2
    assert "Usage: sbtcodec" in out + err


def test_help_info_and_errors_import_neither_torch_nor_more_than_they_need(sbt, photo):
    script = """
import sys
from sbtcodec.cli import main
try:
    main()
finally:
    heavy = {"torch", "numpy", "PIL", "rich", "constriction", "jinja2"} & sys.modules.keys()
    print("heavy:", *sorted(heavy), file=sys.stderr)
"""
    cases = {
        ("--help",): "",
        ("compress", "--help"): "",
        ("demo", "--help"): "",
        ("info", sbt): "",
        ("info", sbt, "--json"): "",
        ("info", photo): "",
        ("decompress", "none.sbt"): "",
        ("decompress", photo): "",
        ("decompress", sbt, "photo.png"): "",
        ("compress", photo, "photo.sbt"): "",
        ("compress", "none.png", "a.sbt"): "PIL numpy",
        ("compress", photo, "-q", "1000"): "",
        ("compres",): "",
    }
    for arguments, expected in cases.items():
        done = subprocess_run("-c", script, *arguments, capture_output=True)
        assert done.stderr.splitlines()[-1] == f"heavy: {expected}".rstrip(), arguments


# The Python interface


def test_the_package_imports_without_torch():
    script = "import sys, sbtcodec; print(sorted({'torch', 'numpy', 'PIL'} & sys.modules.keys()))"
    assert subprocess_run("-c", script, capture_output=True).stdout == "[]\n"


def test_compress_decompress_and_inspect(monkeypatch):
    image = Image.new("RGB", (WIDTH, HEIGHT))
    data = sbtcodec.compress(image, quality=20)
    assert sbtcodec.inspect(data).quality == pytest.approx(20)
    assert sbtcodec.decompress(data).size == (WIDTH, HEIGHT)
    assert sbtcodec.decompress(data, 1).getpixel((0, 0)) == (101, 101, 101)
    monkeypatch.setattr(FakeCodec, "load", None)  # loaded once only
    assert len(sbtcodec.compress(image, globals_only=True)) < len(data)
    with pytest.raises(sbtcodec.SbtError):
        sbtcodec.inspect(b"")


def test_all_public_names_are_there():
    assert all(hasattr(sbtcodec, name) for name in sbtcodec.__all__)
    assert sbtcodec.Codec is FakeCodec
    with pytest.raises(AttributeError, match="no attribute 'Codek'"):
        _ = sbtcodec.Codek
