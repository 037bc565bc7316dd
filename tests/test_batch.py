"""Batches: which files are taken, where outputs go, what one failure does, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stand_in import ROOT, FakeCodec, replace_codec, runner
from typer.main import get_command

from sbtcodec.cli import app
from sbtcodec.cli.common import batch
from sbtcodec.codec import codec as real_codec
from sbtcodec.container import is_sbt
from sbtcodec.errors import WeightsError
from sbtcodec.image.listing import image_suffixes


@pytest.fixture(autouse=True)
def codec(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return replace_codec(monkeypatch)


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


def make_image(*paths):
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), "teal").save(path)


def files(folder="."):
    found = Path(folder).rglob("*")
    return {str(path.relative_to(folder)) for path in found if path.is_file()}


# Which files, and where to


def test_several_images_give_files_beside_them(run):
    make_image("a.png", "b.png", "sub/c.jpg")
    code, out, err = run("compress", "a.png", "b.png", "sub/c.jpg")
    assert (code, err) == (0, "")
    assert {"a.sbt", "b.sbt", "sub/c.sbt"} <= files()
    assert out.splitlines()[-1].startswith("3 done, 0 skipped, 0 failed  ")


def test_a_folder_gives_its_images_and_not_those_in_subfolders(run):
    make_image("in/a.png", "in/b.JPG", "in/sub/c.png", "in/.hidden.png")
    Path("in/notes.txt").write_text("no image")
    assert run("compress", "in", "--out-dir", "out", "--quiet") == (0, "", "")
    assert files("out") == {"a.sbt", "b.sbt"}


def test_recursive_mirrors_the_tree_below_the_output_folder(run):
    make_image("in/a.png", "in/x/b.png", "in/x/y/c.png", "in/.git/d.png")
    assert run("compress", "in", "-r", "--out-dir", "new/out", "--quiet") == (0, "", "")
    assert files("new/out") == {"a.sbt", "x/b.sbt", "x/y/c.sbt"}
    assert run("decompress", "new/out", "-r", "-d", "back", "--format", "webp", "--quiet")[0] == 0
    assert files("back") == {"a.webp", "x/b.webp", "x/y/c.webp"}
    assert Image.open("back/x/y/c.webp").size == (64, 48)


def test_a_pattern_that_the_shell_left_alone_is_expanded(run):
    make_image("in/a.png", "in/b.png", "in/c.jpg", "in/x/d.png")
    assert run("compress", "in/*.png", "--quiet") == (0, "", "")
    assert {name for name in files("in") if name.endswith(".sbt")} == {"a.sbt", "b.sbt"}
    assert run("compress", "in/**/*.png", "--out-dir", "out", "--quiet") == (0, "", "")
    assert files("out") == {"a.sbt", "b.sbt", "x/d.sbt"}


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(run):
    make_image("a[1].png", "a1.png")
    assert run("compress", "a[1].png", "--quiet") == (0, "", "")
    assert "a[1].sbt" in files()
    assert "a1.sbt" not in files()


def test_what_matches_nothing_is_a_failure(run):
    Path("empty").mkdir()
    for argument, sentence in (("*.png", "matches no file"), ("empty", "holds no images")):
        code, out, err = run("compress", argument)
        assert code == 5
        assert out.startswith("0 done, 0 skipped, 1 failed")
        assert sentence in err


def test_a_file_named_twice_is_done_once(run):
    make_image("in/a.png")
    code, out, _ = run("compress", "in", "in/a.png", "./in/a.png")
    assert (code, out.splitlines()[-1].split(",")[0]) == (0, "1 done")


def test_of_images_for_one_output_the_first_has_it_and_the_others_are_named(run):
    make_image("a.png", "a.jpg", "a.bmp", "b.png", "x/b.jpg")
    code, out, err = run("compress", "a.png", "a.jpg", "a.bmp", "b.png")
    assert (code, out.splitlines()[-1].partition("  ")[0]) == (6, "2 done, 0 skipped, 2 failed")
    for other in ("a.jpg", "a.bmp"):
        assert f"a.png and {other} would both be written to a.sbt" in err
    code, _, err = run("compress", "b.png", "x/b.jpg", "--out-dir", "out")
    assert (code, files("out")) == (6, {"b.sbt"})
    assert "b.png and x/b.jpg would both" in err
    assert run("compress", "a.png", "a.jpg", "b.png", "--skip-existing")[0] == 6


def test_extensions_can_be_kept_so_that_all_are_done(run):
    make_image("in/a.png", "in/a.jpg", "in/b.png")
    code, _, err = run("compress", "in", "--keep-extension", "--out-dir", "out", "--quiet")
    assert (code, err, files("out")) == (0, "", {"a.jpg.sbt", "a.png.sbt", "b.png.sbt"})
    assert run("verify", "out", "--against", "in", "--quiet")[0] == 0
    assert run("compress", "in/a.png", "--keep-extension", "--quiet")[0] == 0
    assert "a.png.sbt" in files("in")


def test_of_two_images_the_second_is_not_taken_for_the_output(run):
    make_image("a.png", "b.png")
    before = Path("b.png").read_bytes()
    code, out, err = run("compress", "a.png", "b.png", "--force")
    assert (code, out) == (2, "")
    assert "--out-dir" in err
    assert Path("b.png").read_bytes() == before
    assert run("compress", "a.png", "b.png", "--out-dir", ".", "--quiet")[0] == 0
    code, _, err = run("decompress", "a.sbt", "b.sbt", "--force")
    assert code == 2
    assert "--out-dir" in err


def test_an_output_named_by_its_option_may_have_any_name(run):
    make_image("a.png", "b.png")
    code, _, err = run("compress", "a.png", "-o", "b.png", "--quiet")
    assert code == 2
    assert "name it b.sbt, or give --force" in " ".join(err.split())
    assert run("compress", "a.png", "-o", "b.png", "--force", "--quiet") == (0, "", "")
    assert is_sbt(Path("b.png").read_bytes())


@pytest.mark.parametrize(
    "arguments",
    [
        ("a.png", "b.png", "-o", "c.sbt"),
        ("a.png", "-o", "c.sbt", "--out-dir", "out"),
        ("in", "-o", "c.sbt"),
        ("in", "out"),
        ("a.png", "--force", "--skip-existing"),
        ("a.png", "--quality", "30", "--globals-only"),
        ("a.png", "--jobs", "0"),
        (),
    ],
)
def test_arguments_that_contradict_each_other_are_wrong_usage(run, arguments):
    make_image("a.png", "b.png", "in/c.png")
    before = files()
    code, out, err = run("compress", *arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert files() == before


def test_folders_give_what_pillow_can_decode():
    suffixes = image_suffixes()
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".bmp", ".gif", ".ppm"} <= suffixes
    assert not {".pdf", ".mpg", ".eps", ".sbt", ".txt"} & suffixes


# Failures and existing outputs


def test_one_broken_file_does_not_stop_the_batch(run):
    make_image("a.png", "c.png")
    Path("b.png").write_text("text")
    code, out, err = run("compress", "a.png", "b.png", "c.png", "d.png")
    assert code == 5
    assert {"a.sbt", "c.sbt"} <= files()
    assert out.splitlines()[-1].startswith("2 done, 0 skipped, 2 failed")
    sentences = sorted(err.splitlines())
    assert len(sentences) == 2
    assert sentences[0].startswith("sbtcodec: b.png is not an image")
    assert sentences[1].startswith("sbtcodec: d.png does not exist")


def test_a_bug_in_one_file_does_not_stop_the_batch(run, monkeypatch):
    make_image("a.png", "b.png", "c.png")
    original = FakeCodec.compress
    calls = []

    def compress(self, image, *arguments, **options):
        calls.append(image)
        if len(calls) == 1:
            raise ZeroDivisionError
        return original(self, image, *arguments, **options)

    monkeypatch.setattr(FakeCodec, "compress", compress)
    code, out, err = run("compress", "a.png", "b.png", "c.png", "--jobs", 1)
    assert code == 70
    assert "a bug (ZeroDivisionError)" in err
    assert out.splitlines()[-1].startswith("2 done, 0 skipped, 1 failed")


def test_failures_of_different_kinds_give_exit_code_1(run):
    make_image("a.png", "b.png")
    Path("b.sbt").write_bytes(b"mine")
    code, _, err = run("compress", "a.png", "b.png", "none.png")
    assert code == 1
    assert "b.sbt exists already" in err
    assert Path("b.sbt").read_bytes() == b"mine"


def test_existing_outputs_fail_are_skipped_or_replaced(run):
    make_image("in/a.png", "in/b.png", "in/c.png")
    Path("out").mkdir()
    Path("out/b.sbt").write_bytes(b"mine")
    batch_of = ("compress", "in", "--out-dir", "out")
    code, out, _ = run(*batch_of)
    assert code == 6
    assert out.splitlines()[-1].startswith("2 done, 0 skipped, 1 failed")
    code, out, err = run(*batch_of, "--skip-existing")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("0 done, 3 skipped, 0 failed")
    assert Path("out/b.sbt").read_bytes() == b"mine"
    code, out, _ = run(*batch_of, "--force")
    assert (code, out.splitlines()[-1].split(",")[0]) == (0, "3 done")
    assert Path("out/b.sbt").read_bytes() != b"mine"


def test_skipping_works_for_one_file_too(run, codec):
    del codec.Codec
    make_image("a.png")
    Path("a.sbt").write_bytes(b"mine")
    code, out, _ = run("compress", "a.png", "--skip-existing")
    assert (code, out) == (0, "a.sbt  exists already, skipped\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_an_output_folder_without_permission_is_told_before_work_begins(run, codec):
    del codec.Codec
    make_image("in/a.png")
    Path("closed").mkdir(mode=0o555)
    for out_dir, sentence in (("closed", "is not writable"), ("closed/new", "cannot be made")):
        code, out, err = run("compress", "in", "--out-dir", out_dir)
        assert (code, out) == (6, "")
        assert sentence in err


def test_an_output_folder_that_is_a_file_is_told(run, codec):
    del codec.Codec
    make_image("in/a.png", "in/x/b.png")
    Path("file").touch()
    code, out, err = run("compress", "in", "--out-dir", "file")
    assert (code, out) == (6, "")
    assert "the folder file cannot be made" in err


def test_a_folder_that_cannot_be_mirrored_is_a_failure_of_its_files(run):
    make_image("in/a.png", "in/x/b.png")
    Path("out").mkdir()
    Path("out/x").touch()
    code, out, err = run("compress", "in", "-r", "--out-dir", "out")
    assert code == 6
    assert out.splitlines()[-1].startswith("1 done, 0 skipped, 1 failed")
    assert "the folder out/x cannot be made" in err


def test_a_codec_that_cannot_be_loaded_ends_the_batch_with_one_sentence(run, monkeypatch):
    def load(_device, **_):
        raise WeightsError("the weights are damaged")

    monkeypatch.setattr(FakeCodec, "load", load)
    make_image("a.png", "b.png", "c.png")
    code, out, err = run("compress", "a.png", "b.png", "c.png", "--jobs", 2)
    assert (code, out, err) == (7, "", "sbtcodec: the weights are damaged\n")


def test_json_is_an_object_a_file_and_a_summary(run):
    make_image("a.png", "b.png")
    Path("b.sbt").touch()
    code, out, err = run("compress", "a.png", "b.png", "none.png", "--skip-existing", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 5
    assert "none.png" in err
    states = {line["input"]: line for line in told[:-1]}
    assert states["a.png"]["state"] == "done"
    assert states["a.png"]["bytes"] == Path("a.sbt").stat().st_size
    assert states["b.png"] == {"input": "b.png", "output": "b.sbt", "state": "skipped"}
    assert states["none.png"]["exit_code"] == 5
    summary = told[-1]["summary"]
    assert (summary["done"], summary["skipped"], summary["failed"]) == (1, 1, 1)
    assert summary["bytes_before"] == Path("a.png").stat().st_size
    assert summary["bytes_after"] == Path("a.sbt").stat().st_size
    assert summary["bpp"] == pytest.approx(8 * summary["bytes_after"] / (64 * 48), abs=1e-6)


def test_too_many_pixels_are_told_before_decoding(run, codec):
    make_image("a.png")
    assert run("compress", "a.png", "--max-pixels", 64 * 48, "--quiet") == (0, "", "")
    assert run("compress", "a.png", "--max-pixels", 3071, "--force")[0] == 5
    del codec.Codec
    for command in ("decompress", "verify", "info"):
        code, out, err = run(command, "a.sbt", "--max-pixels", 3071)
        assert code == 3
        assert "has 64 x 48 pixels, expected at most 3071" in out + err


# Verification while compressing


def test_a_result_that_does_not_decode_is_not_written(run, monkeypatch):
    make_image("a.png")
    code, out, _ = run("compress", "a.png", "--verify", "--json")
    assert code == 0
    assert json.loads(out)["psnr"] > 5
    decode = FakeCodec.decode
    monkeypatch.setattr(FakeCodec, "decode", lambda self, data, **_: decode(self, data[:-20]))
    code, out, err = run("compress", "a.png", "b.sbt", "--verify")
    assert (code, out) == (3, "")
    assert "failed its verification, nothing was written" in err
    assert not Path("b.sbt").exists()


# Progress


def test_progress_is_shown_on_a_terminal_only(run, monkeypatch, capsys):
    make_image("a.png", "b.png")
    assert run("compress", "a.png", "b.png", "none.png")[2].startswith("sbtcodec: none.png")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, out, err = run("compress", "a.png", "b.png", "none.png", "--force")
    assert code == 5
    assert "0 of 3 files  0.00 MP/s" in err
    assert "MP/s" in err
    assert " left" in err
    assert "files" not in out
    assert len(out.splitlines()) == 3


# Threads


def test_no_more_images_are_in_memory_than_jobs(run, monkeypatch):
    names = [f"{index}.png" for index in range(7)]
    make_image(*names)
    original = FakeCodec.compress
    lock, at_work, most, together = threading.Lock(), [0], [0], threading.Event()

    def compress(self, image, *arguments, **options):
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            if at_work[0] == 3:
                together.set()
        assert together.wait(30)
        time.sleep(0.03)  # for one too many
        with lock:
            at_work[0] -= 1
        return original(self, image, *arguments, **options)

    monkeypatch.setattr(FakeCodec, "compress", compress)
    assert run("compress", *names, "--jobs", 3, "--quiet") == (0, "", "")
    assert most[0] == 3


def test_the_default_jobs_are_few():
    assert 1 <= batch.default_jobs() <= batch.MAX_DEFAULT_JOBS


def test_two_jobs_give_the_bytes_of_one(run, monkeypatch):
    """With the real codec, which the threads share."""
    import torch
    from skimage import data

    monkeypatch.setitem(sys.modules, "sbtcodec.codec.codec", real_codec)
    for index in range(4):
        Path("in").mkdir(exist_ok=True)
        rgb = data.astronaut()[64 * index : 64 * index + 48, 100:164]
        Image.fromarray(np.ascontiguousarray(rgb)).save(f"in/{index}.png")
    threads = torch.get_num_threads()
    for jobs in (1, 2):
        assert run("compress", "in", "-d", f"sbt{jobs}", "-j", jobs, "--quiet") == (0, "", "")
        assert run("decompress", "sbt1", "-d", f"png{jobs}", "-j", jobs, "--quiet")[0] == 0
    assert torch.get_num_threads() == threads
    for one, two in (("sbt1", "sbt2"), ("png1", "png2")):
        assert len(files(one)) == 4
        for name in files(one):
            assert Path(one, name).read_bytes() == Path(two, name).read_bytes()


# Ctrl-C

SLOW_PROGRAM = r"""
import signal, sys, time, types
# A shell may have started the tests in the background, with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
class Codec:
    load = classmethod(lambda cls, device, **_: cls())
    def compress(self, image, quality, **options):
        sys.stderr.write("at work\n")
        time.sleep(SECONDS)
        return bytes(1000)
sys.modules["sbtcodec.codec.codec"] = types.SimpleNamespace(Codec=Codec)
from sbtcodec.cli.common import shared_codec
shared_codec.light_is_installed = lambda: False
from sbtcodec.cli import main
main()
"""


def start_slow_batch(seconds):
    names = [f"{index:02}.png" for index in range(20)]
    make_image(*(f"in/{name}" for name in names))
    return subprocess.Popen(
        [
            *(sys.executable, "-c", SLOW_PROGRAM.replace("SECONDS", str(seconds))),
            *("compress", "in", "--out-dir", "out", "--jobs", "2"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_ctrl_c_lets_the_files_at_work_finish_and_leaves_whole_files_only(run):
    program = start_slow_batch(0.3)
    first = program.stdout.readline()
    program.send_signal(signal.SIGINT)
    rest, err = program.communicate(timeout=30)
    assert program.returncode == 130
    made = files("out")
    assert 1 <= len(made) < 20
    assert all(Path("out", name).stat().st_size == 1000 for name in made)
    assert all(name.endswith(".sbt") for name in made)
    summary = (first + rest).splitlines()[-1]
    assert summary.startswith(f"{len(made)} done, 0 skipped, 0 failed")
    assert err.splitlines()[-1] == "sbtcodec: interrupted"
    code, out, _ = run("compress", "in", "--out-dir", "out", "--skip-existing")
    assert code == 0
    assert f"{20 - len(made)} done, {len(made)} skipped" in out


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_a_second_ctrl_c_drops_the_files_at_work():
    program = start_slow_batch(20)
    assert [program.stderr.readline() for _ in range(2)] == ["at work\n"] * 2
    start = time.perf_counter()
    program.send_signal(signal.SIGINT)
    assert "Ctrl-C again drops them" in program.stderr.readline()
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=15)
    assert time.perf_counter() - start < 15
    assert program.returncode == 130
    assert out.startswith("0 done, 0 skipped, 0 failed")
    assert err == "sbtcodec: interrupted\n"
    assert files("out") == set()


def test_every_command_of_a_batch_has_the_same_options():
    commands = get_command(app).commands
    names = {
        name: {option for parameter in commands[name].params for option in parameter.opts}
        for name in ("compress", "decompress", "verify")
    }
    for options in names.values():
        assert {"--recursive", "--jobs", "--max-pixels", "--json", "--quiet"} <= options
    for name in ("compress", "decompress"):
        assert {"--out-dir", "--output", "--skip-existing", "--force"} <= names[name]
