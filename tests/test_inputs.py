"""Inputs that are no regular files: pipes are read whole, devices refused; nothing hangs unsaid."""

import io
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from PIL import Image
from stand_in import assert_fails, replace_codec, runner

from sbtcodec.errors import ImageError
from sbtcodec.image import inputs
from sbtcodec.image.inputs import pipe_content

pytestmark = pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch, capsys):
    replace_codec(monkeypatch)
    return runner(monkeypatch, capsys)


def png():
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    return buffer.getvalue()


def pipe(name, *pieces, after=None):
    """Make a pipe that a thread writes to, `after` an event if there is one."""
    os.mkfifo(name)

    def write():
        if after is not None:
            after.wait(30)
        with open(name, "wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)
                time.sleep(0.02)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_an_image_comes_through_a_pipe_with_its_size(run):
    data = png()
    pipe("in", data[:9], data[9:100], data[100:])
    code, out, err = run("compress", "in", "out.sbt")
    assert (code, err) == (0, "")
    assert f"of {len(data)} (" in out


def test_a_pipe_among_others_is_one_of_a_batch(run):
    Path("a.png").write_bytes(png())
    pipe("b.png", png())
    Image.new("L", (9, 9)).save("c.png")
    code, out, _ = run("compress", "a.png", "b.png", "c.png", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["summary"]["done"] == 3


def test_a_file_comes_through_a_pipe(run):
    Path("a.png").write_bytes(png())
    assert run("compress", "a.png", "--quiet")[0] == 0
    data = Path("a.sbt").read_bytes()
    for command, options in (("info", ()), ("verify", ()), ("decompress", ("back.png",))):
        pipe(command, data)
        assert run(command, command, *options)[0] == 0
    pipe("original", png())
    assert run("verify", "a.sbt", "--against", "original")[0] == 0


def test_who_waits_for_a_pipe_says_so(run, monkeypatch):
    told, read = threading.Event(), inputs._read

    def read_and_tell(descriptor, path, tell):
        return read(descriptor, path, lambda text: (tell(text), told.set()))

    monkeypatch.setattr(inputs, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(inputs, "_read", read_and_tell)
    pipe("in", png(), after=told)
    code, _, err = run("compress", "in", "out.sbt")
    assert (code, err) == (0, "sbtcodec: waiting for what is written to the pipe in\n")


def test_a_pipe_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(inputs, "MAX_FILE_BYTES", 1000)
    pipe("in", bytes(600), bytes(600))
    with pytest.raises(ImageError, match="in gives over 1000 bytes"):
        pipe_content(Path("in"), ImageError)


def test_an_empty_pipe_is_called_empty(run):
    pipe("in")
    assert_fails(run("compress", "in", "out.sbt"), 5, "is empty")


@pytest.mark.parametrize("command", ["compress", "decompress", "info"])
def test_devices_and_sockets_are_refused(run, command):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, kind in (("/dev/zero", "a device"), ("socket", "a socket")):
            code, out, err = run(command, name, *(["out"] if command != "info" else []))
            assert code in (3, 5)
            assert f"{name} is {kind}, expected a file or a pipe" in out + err


def test_a_loop_of_links_is_told(run):
    os.symlink("b.png", "a.png")
    os.symlink("a.png", "b.png")
    code, _, err = run("compress", "a.png")
    assert code == 5
    assert err.count("\n") == 1


def test_regular_files_are_left_to_who_reads_them():
    Path("a.png").write_bytes(png())
    assert pipe_content(Path("a.png"), ImageError) is None
    assert pipe_content(Path("none"), ImageError) is None
