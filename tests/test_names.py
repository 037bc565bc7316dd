"""Names of files: the same ones are taken by all engines, and none leads where it should not."""

import io
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from stand_in import replace_codec, runner

from sbtcodec.cli.common.arguments import expand, images_to
from sbtcodec.errors import ImageError, OutputError
from sbtcodec.image.listing import image_suffixes

pytest.importorskip("fsspec")
pq = pytest.importorskip("pyarrow.parquet")

from sbtcodec.collection import manifest, storage
from sbtcodec.collection.manifest import Entry, Manifest, Settings, to_entries, to_table
from sbtcodec.collection.names import to_path, to_text
from sbtcodec.collection.plan import make_plan
from sbtcodec.collection.storage import list_images
from sbtcodec.collection.version import version_of
from sbtcodec.collection.worker import to_rows

SETTINGS = Settings(50, False, "model")
NOT_UTF8 = os.fsdecode(b"caf\xe9.png")
linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    replace_codec(monkeypatch)
    return runner(monkeypatch, capsys)


def make(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(name, "PNG")


def both(argument):
    """What the two engines take, which has to be the same: paths below what was named."""
    tasks = expand([argument], images_to(".sbt"), recursive=True, keep_extension=True)
    local = sorted(str(task.below) for task in tasks if task.problem is None)
    try:
        cluster = sorted(found.relative for found in list_images(argument) if not found.problem)
    except ImageError:
        cluster = []
    assert local == cluster
    return local


@pytest.mark.parametrize(
    "name", ["holiday [2024]", "what?", "a*b", "[!x]", "{a,b}", "a b", "~", "#"]
)
def test_a_folder_or_image_with_signs_in_its_name_is_taken_as_it_is(name):
    make(f"{name}/p.png", f"{name}/sub/scan[1].png", "a/p.png", "x/p.png")
    assert both(name) == ["p.png", "sub/scan[1].png"]
    assert both(f"{name}/p.png") == ["p.png"]
    assert both(f"{name}/sub/scan[1].png") == ["scan[1].png"]


def test_a_pattern_below_a_folder_is_one():
    make("in/a1.png", "in/a2.png", "in/b1.png", "in/a1.jpg", "in/sub/a3.png", "in/notes.dat")
    assert both("in/a?.png") == ["a1.png", "a2.png"]
    assert both("in/[ab]1.*") == ["a1.jpg", "a1.png", "b1.png"]
    assert both("in/**/a*.png") == ["a1.png", "a2.png", "sub/a3.png"]
    assert both("in/*.dat") == ["notes.dat"]
    assert both("in/none*.png") == []


def test_patterns_and_folders_leave_hidden_files_and_other_files_out():
    make("in/a.png", "in/._a.png", "in/.DS_Store", "in/.cache/b.png", "in/c.txt")
    assert both("in") == both("in/*") == ["a.png"]
    assert both("in/.*.png") == ["._a.png"]
    assert both("in/._a.png") == ["._a.png"]


def test_hidden_files_are_left_out_on_other_file_systems_too():
    filesystem = storage.find_place("memory://hidden", ImageError).filesystem
    for name in ("a.png", "._a.png", ".cache/b.png", "sub/c.png", "sub/.d.png", "c.txt"):
        filesystem.pipe_file(f"/hidden/{name}", b"x")
    for address in ("memory://hidden", "memory://hidden/**"):
        assert [f.relative for f in list_images(address)] == ["a.png", "sub/c.png"]
    assert [f.relative for f in list_images("memory://hidden/.*.png")] == ["._a.png"]


def test_folders_give_every_extension_that_can_be_read():
    assert {".mpo", ".jfif", ".apng", ".jp2", ".pgm", ".dib", ".tiff"} <= image_suffixes()
    make("in/a.mpo", "in/b.JFIF")
    assert both("in") == ["a.mpo", "b.JFIF"]


@pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")
def test_links_are_followed_but_not_in_circles():
    make("in/a.png", "elsewhere/b.png", "in/sub/c.png")
    os.symlink("..", "in/sub/up")
    os.symlink("../elsewhere", "in/link")
    os.symlink("self.png", "in/self.png")
    found = {f.relative: f.problem for f in list_images("in")}
    assert found.keys() == {"a.png", "link/b.png", "sub/c.png", "self.png"}
    assert "self.png cannot be read" in found["self.png"]
    tasks = expand(["in/**/*.png"], images_to(".sbt"), recursive=False)
    assert len({os.path.realpath(task.source) for task in tasks}) == len(tasks)


@pytest.mark.skipif(os.name != "posix", reason="of POSIX systems")
def test_a_pipe_in_a_folder_is_refused_and_the_others_are_done(run):
    make("in/a.png")
    os.mkfifo("in/b.png")
    code, out, err = run("compress", "in", "--out-dir", "out")
    assert (code, out.splitlines()[-1].partition("  ")[0]) == (5, "1 done, 0 skipped, 1 failed")
    assert "in/b.png is not a regular file" in err
    plan = make_plan(["in"], "out2", SETTINGS)
    assert [item.path for item in plan.items] == ["a.sbt"]
    assert "is not a regular file" in plan.decided[0].error


def test_a_folder_given_twice_is_done_once(run):
    make("in/a.png")
    os.symlink("in", "link")
    code, out, _ = run("compress", "in", "./in/", "link", "--out-dir", "out")
    assert (code, out.splitlines()[-1].partition(",")[0]) == (0, "1 done")
    plan = make_plan(["in", "./in/", "link"], "out2", SETTINGS)
    assert ([item.path for item in plan.items], plan.decided) == (["a.sbt"], ())


def test_an_output_that_is_an_input_is_refused(run):
    make("a.png", "a.sbt", "b.png")
    before = Path("a.sbt").read_bytes()
    code, _, err = run("compress", "a.png", "a.sbt", "b.png", "--force", "--quiet")
    assert code == 6
    assert "a.png: its output a.sbt is one of the inputs itself" in err
    assert Path("a.sbt").read_bytes() == before
    assert Path("b.sbt").exists()


# Outside of the folder


def archive(path, *names):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, buffer.getvalue())


def test_members_of_archives_do_not_leave_the_folder(folder):
    archive("a.zip", "good.png", "../up.png", "sub/../../up2.png", "sub/fine.png", "/root.png")
    plan = make_plan([f"zip://::{folder}/a.zip"], "out/deep", SETTINGS)
    assert sorted(item.path for item in plan.items) == ["good.sbt", "root.sbt", "sub/fine.sbt"]
    assert len(plan.decided) == 2
    for entry in plan.decided:
        assert (entry.status, entry.exit_code) == ("failed", OutputError.exit_code)
        assert "would not be below out/deep" in entry.error


def test_patterns_do_not_leave_the_folder(run):
    make("in/sub/a.png", "b.png")
    code, _, err = run("compress", "in/*/../../b.png", "in", "-r", "--out-dir", "x/out", "--quiet")
    assert code == 6
    assert "would not be below x/out" in err
    assert [str(path) for path in Path("x").rglob("*.sbt")] == ["x/out/sub/a.sbt"]


# Names that are not UTF-8


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/photos/a.png", "/photos/a.png"),
        ("/photos/caf\udce9.png", "file:///photos/caf%E9.png"),
        ("/100%/caf\udce9.png", "file:///100%25/caf%E9.png"),
        ("sub/caf\udce9.sbt", "./sub/caf%E9.sbt"),
        ("caf%E9.sbt", "caf%E9.sbt"),
        ("é.sbt", "é.sbt"),
    ],
)
@linux
def test_text_stands_for_any_name(path, text):
    assert to_text(path) == text
    assert to_path(text) == path


@linux
def test_a_name_that_is_not_utf8_is_a_row_like_any_other():
    make(f"in/{NOT_UTF8}", "in/good.png", "in/caf%E9.png")
    plan = make_plan(["in"], "out", SETTINGS)
    assert len(plan.items) == 3
    rows = to_rows(plan.items, (plan.items[0].place,))
    assert sum(place.startswith("file://") for place in rows["place"].to_pylist()) == 1
    kept = Manifest(plan.out, SETTINGS)
    for item in plan.items:
        size = 7
        Path("out", item.path).write_bytes(bytes(size))
        done = Entry(item.source, item.size, item.path, "done", size, source_version=item.version)
        kept.add(done)
    kept.close()
    table = pq.read_table("out/manifest.parquet")
    text = next(s for s in table["source"].to_pylist() if s.startswith("file://"))
    assert to_path(text) == os.path.join(os.getcwd(), "in", NOT_UTF8)
    assert "./caf%E9.sbt" in table["path"].to_pylist()
    again = make_plan(["in"], "out", SETTINGS)
    assert (again.items, again.recorded) == ((), 3)


@linux
def test_errors_about_such_names_are_rows_too():
    failed = Entry("file:///caf%E9", 1, "caf\udce9.sbt", "failed", error="caf\udce9 is bad")
    (back,) = to_entries(to_table([failed]))
    assert back.path == failed.path
    assert back.error == r"caf\udce9 is bad"


@linux
def test_the_local_engine_takes_such_names(run):
    make(f"in/{NOT_UTF8}", "in/good.png")
    assert run("compress", "in", "--out-dir", "out", "--quiet")[0] == 0
    assert len(os.listdir("out")) == 2


# Replaced files


def recorded(version):
    """A collection of one image, recorded with a version, or with that of its listing."""
    plan = make_plan(["in"], "out", SETTINGS)
    (item,) = plan.items
    Path("out").mkdir(exist_ok=True)
    Path("out", item.path).write_bytes(bytes(9))
    kept = Manifest(plan.out, SETTINGS)
    version = item.version if version == "listed" else version
    kept.add(Entry(item.source, item.size, item.path, "done", 9, source_version=version))
    kept.close()


@pytest.mark.parametrize("version", ["listed", None])
@pytest.mark.parametrize("later", [60, 10**8])
def test_a_replaced_file_of_the_same_size_is_noticed(version, later):
    make("in/a.png")
    recorded(version)
    assert make_plan(["in"], "out", SETTINGS).recorded == 1
    now = os.stat("in/a.png").st_mtime
    os.utime("in/a.png", (now + later, now + later))
    assert len(make_plan(["in"], "out", SETTINGS).items) == 1


def test_an_older_file_in_its_place_is_noticed():
    make("in/a.png")
    recorded("listed")
    os.utime("in/a.png", (10**9, 10**9))
    assert len(make_plan(["in"], "out", SETTINGS).items) == 1


def test_a_manifest_of_an_earlier_version_is_gone_on_with():
    make("in/a.png", "in/b.png")
    recorded_old = make_plan(["in"], "out", SETTINGS)
    Path("out").mkdir()
    rows = []
    for item in recorded_old.items:
        Path("out", item.path).write_bytes(bytes(9))
        rows.append(Entry(item.source, item.size, item.path, "done", 9))
    table = to_table(rows, SETTINGS).drop_columns(["source_version"])
    pq.write_table(table, "out/manifest.parquet")
    plan = make_plan(["in"], "out", SETTINGS)
    assert (plan.items, plan.recorded) == ((), 2)
    Manifest(plan.out, SETTINGS).close()
    assert "source_version" in pq.read_table("out/manifest.parquet").column_names
    assert make_plan(["in"], "out", SETTINGS).recorded == 2


def test_file_systems_tell_versions_in_their_own_words():
    assert version_of({"ETag": '"9a03"', "LastModified": "today", "size": 1}) == 'etag:"9a03"'
    assert version_of({"CRC": 7, "date_time": (2024, 1, 1)}) == "crc:7"
    assert version_of({"mtime": 1.5, "created": 1}) == "mtime:1.5"
    assert version_of({"size": 1}) is None


def test_a_replaced_member_of_an_archive_is_noticed(folder):
    archive("a.zip", "a.png")
    address = f"zip://::{folder}/a.zip"
    (image,) = list_images(address)
    assert image.version.startswith("crc:")
    assert replace(image, version="crc:1") != image
    assert manifest.schema().field("source_version").nullable
