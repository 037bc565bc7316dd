"""Outputs: whole or not there, never in place of what appeared meanwhile; rights are kept."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from stand_in import assert_fails, replace_codec, runner, subprocess_run

from sbtcodec.container import is_sbt
from sbtcodec.errors import OutputError
from sbtcodec.image import files
from sbtcodec.image.files import check_output, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsysbinary):
    replace_codec(monkeypatch)
    Image.new("RGB", (60, 40), "teal").save("photo.png")
    return runner(monkeypatch, capsysbinary)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# Rights


@posix
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755, 0o444])
def test_a_replaced_file_keeps_who_may_read_and_write_it(mode):
    path = Path("a.sbt")
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new", force=True)
    assert (path.read_bytes(), rights(path)) == (b"new", mode)


@posix
def test_a_new_file_has_the_rights_of_the_umask(umask):
    write_atomically(Path("a"), b"new", force=True)
    os.umask(0o077)
    write_atomically(Path("b"), b"new", force=False)
    assert (rights("a"), rights("b")) == (0o644, 0o600)


@posix
@pytest.mark.usefixtures("umask")
def test_a_private_file_is_private_while_it_is_replaced(monkeypatch):
    path = Path("a.sbt")
    path.write_bytes(b"old")
    path.chmod(0o600)
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(map(rights, Path().glob(".*.tmp"))))
    write_atomically(path, b"new", force=True)
    assert seen == [0o600]


@posix
@pytest.mark.usefixtures("umask")
def test_rights_of_another_group_do_not_pass_to_ours(monkeypatch):
    path = Path("a.sbt")
    path.write_bytes(b"old")
    path.chmod(0o664)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    write_atomically(path, b"new", force=True)
    assert rights(path) == 0o604


# What appears meanwhile


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appeared_meanwhile_is_not_replaced(monkeypatch, links):
    path = Path("a.sbt")
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "fsync", lambda _: path.write_bytes(b"another's"))
    with pytest.raises(OutputError, match="exists already"):
        write_atomically(path, b"ours", force=False)
    assert path.read_bytes() == b"another's"
    assert os.listdir() == ["a.sbt"]
    write_atomically(path, b"ours", force=True)
    assert path.read_bytes() == b"ours"


def test_a_link_that_appeared_meanwhile_is_not_followed(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: os.symlink("elsewhere", "a.sbt"))
    with pytest.raises(OutputError, match="exists already"):
        write_atomically(Path("a.sbt"), b"ours", force=False)
    assert os.listdir() == ["a.sbt"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS])
def test_a_file_system_without_links_is_written_to(monkeypatch, number):
    monkeypatch.setattr(os, "link", lambda *_: no_links(number=number))
    write_atomically(Path("a.sbt"), b"ours", force=False)
    assert Path("a.sbt").read_bytes() == b"ours"
    assert os.listdir() == ["a.sbt"]


def test_a_last_step_that_fails_leaves_nothing(monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        write_atomically(Path("a.sbt"), b"ours", force=False)
    assert os.listdir() == []


def test_temporary_files_of_others_stay(folder):
    Path(".sbtcodec-0123.tmp").touch()
    write_atomically(Path("a.sbt"), b"ours", force=False)
    with pytest.raises(OutputError):
        write_atomically(Path("a.sbt"), b"ours", force=False)
    assert sorted(os.listdir()) == [".sbtcodec-0123.tmp", "a.sbt"]


def no_links(*_, number=errno.EPERM):
    raise OSError(number, "no links here")


# Links, pipes and devices


@posix
def test_a_loop_of_links_is_told():
    os.symlink("b", "a.sbt")
    os.symlink("a.sbt", "b")
    for force in (False, True):
        with pytest.raises(OutputError, match="a.sbt cannot be written: "):
            write_atomically(Path("a.sbt"), b"ours", force=force)
    assert os.path.islink("a.sbt")


@posix
def test_a_link_that_leads_to_nothing_yet_is_followed():
    os.symlink("real.sbt", "a.sbt")
    write_atomically(Path("a.sbt"), b"ours", force=False)
    assert Path("real.sbt").read_bytes() == b"ours"
    assert os.path.islink("a.sbt")


@posix
def test_devices_take_what_is_written(run):
    for arguments in (("-o", "/dev/null"), ("/dev/null",), ("--force", "-o", "/dev/null")):
        code, out, err = run("compress", "photo.png", *arguments)
        assert (code, err) == (0, b"")
        assert out.startswith(b"/dev/null  ")
    assert run("compress", "photo.png", "--quiet")[0] == 0
    assert run("decompress", "photo.sbt", "-o", "/dev/null", "--quiet") == (0, b"", b"")
    assert run("decompress", "photo.sbt", "/dev/null", "--format", "webp", "--quiet")[0] == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@posix
def test_other_names_of_standard_output_and_input_are_these(run, monkeypatch):
    for name in ("/dev/stdout", "/dev/fd/1"):
        code, out, err = run("compress", "photo.png", "-o", name)
        assert (code, err) == (0, b"")
        assert is_sbt(out)
    script = (
        "import sys, types; sys.path.insert(0, sys.argv.pop(1))\n"
        "from stand_in import FakeCodec\n"
        "sys.modules['sbtcodec.codec.codec'] = types.SimpleNamespace(Codec=FakeCodec)\n"
        "from sbtcodec.cli.common import shared_codec\n"
        "shared_codec.light_is_installed = lambda: False\n"
        "from sbtcodec.cli import main; main()"
    )
    with open("photo.png", "rb") as file, open("out.sbt", "wb") as output:
        command = [sys.executable, "-c", script, Path(__file__).parent]
        subprocess.run(
            [*command, "compress", "/dev/stdin", "-o", "/dev/stdout"],
            stdin=file,
            stdout=output,
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            timeout=60,
        )
    assert is_sbt(Path("out.sbt").read_bytes())


@posix
def test_a_pipe_gets_the_file_if_something_reads_it(run, monkeypatch):
    os.mkfifo("pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
    reader.start()
    assert run("compress", "photo.png", "-o", "pipe", "--quiet") == (0, b"", b"")
    reader.join(10)
    assert is_sbt(got[0])
    monkeypatch.setattr(files, "PIPE_SECONDS", 0.1)
    code, _, err = run("compress", "photo.png", "-o", "pipe")
    assert code == 6
    assert b"no program reads the pipe pipe" in err


@posix
def test_a_terminal_gets_no_file_without_force():
    master, slave = os.openpty()
    try:
        name = Path(os.ttyname(slave))
        with pytest.raises(OutputError, match="is a terminal.*force=True"):
            check_output(name, force=False)
        check_output(name, force=True)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_a_full_disk_has_one_exit_code_wherever_it_happens(run):
    assert run("compress", "photo.png", "-o", "/dev/full")[0] == 6
    assert run("compress", "photo.png", "--quiet")[0] == 0
    with open("/dev/full", "w") as full:
        arguments = ("-m", "sbtcodec", "info", "photo.sbt")
        done = subprocess_run(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 6
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_told_for_files(monkeypatch, run):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = run("compress", "photo.png")
    assert_fails((code, out.decode(), err.decode()), 6, "No space left on device")
    assert os.listdir() == ["photo.png"]
