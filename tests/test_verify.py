"""The command `verify`: whole, damaged and cut files, and the distance to originals."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from stand_in import replace_codec, runner

from sbtcodec.codec.codec import Codec


@pytest.fixture(scope="module")
def pictures(codec: Codec) -> dict[str, tuple[np.ndarray, bytes]]:
    """Two small photographs and their files."""
    pieces = {"a": data.astronaut()[0:48, 200:264], "b": data.coffee()[100:148, 100:164]}
    return {
        name: (np.ascontiguousarray(rgb), codec.compress(np.ascontiguousarray(rgb), 60))
        for name, rgb in pieces.items()
    }


@pytest.fixture
def sbt(tmp_path, monkeypatch, pictures):
    """A folder with files and one with their originals; the current one."""
    monkeypatch.chdir(tmp_path)
    for name, (rgb, content) in pictures.items():
        for folder in ("sbt", "originals"):
            Path(folder).mkdir(exist_ok=True)
        Path("sbt", f"{name}.sbt").write_bytes(content)
        Image.fromarray(rgb).save(f"originals/{name}.png")
    return Path("sbt")


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


def damage(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 0x55
    path.write_bytes(content)


def test_whole_files_are_told_so(run, sbt):
    code, out, err = run("verify", sbt)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert sorted(line.split("  ")[:2] for line in lines[:2]) == [
        ["OK", "sbt/a.sbt"],
        ["OK", "sbt/b.sbt"],
    ]
    assert "64 x 48 pixels" in lines[0]
    assert lines[2].startswith("2 done, 0 skipped, 0 failed")


def test_damage_is_told_with_its_reason_beside_what_is_whole(run, sbt):
    damage(sbt / "a.sbt")
    Path("sbt/c.sbt").write_text("text")
    code, out, err = run("verify", "sbt", "sbt/none.sbt")
    assert (code, err) == (3, "")
    lines = sorted(out.splitlines())
    assert lines[0].startswith("1 done, 0 skipped, 3 failed")
    assert lines[1].startswith("FAILED  sbt/a.sbt: the detail layer")
    assert lines[2].startswith("FAILED  sbt/c.sbt: this is not an .sbt file")
    assert lines[3].startswith("FAILED  sbt/none.sbt does not exist")
    assert lines[4].startswith("OK  sbt/b.sbt")
    code, out, err = run("verify", "sbt", "--quiet")
    assert (code, out, err.count("FAILED")) == (3, "", 2)


def test_a_file_cut_after_a_whole_layer_is_not_whole(run, sbt, pictures):
    from sbtcodec.container import describe

    content = pictures["a"][1]
    last = describe(content).layers[-1].present_bytes
    (sbt / "a.sbt").write_bytes(content[:-last])
    code, out, _ = run("verify", sbt / "a.sbt")
    assert code == 3
    assert "sbt/a.sbt: the file is not whole: cut after detail layer" in out


def test_the_distance_to_the_original_is_told(run, sbt):
    code, out, _ = run("verify", "sbt/a.sbt", "--against", "originals/a.png", "--json")
    told = json.loads(out.splitlines()[0])
    assert code == 0
    assert told["psnr"] > 20
    assert told["original"] == "originals/a.png"
    code, out, _ = run("verify", "sbt", "--against", "originals", "--min-psnr", 15)
    assert code == 0
    assert out.count("PSNR") == 2


def test_too_great_a_distance_has_an_exit_code_of_its_own(run, sbt):
    code, out, _ = run("verify", "sbt/a.sbt", "--against", "originals/a.png", "--min-psnr", 99)
    assert code == 10
    assert "dB to originals/a.png, expected at least 99" in out
    code, out, _ = run("verify", "sbt/a.sbt", "--against", "originals/b.png", "--min-psnr", 20)
    assert code == 10
    Image.new("RGB", (10, 9)).save("small.png")
    code, out, _ = run("verify", "sbt/a.sbt", "--against", "small.png")
    assert code == 10
    assert "has 64 x 48 pixels, small.png has 10 x 9" in out


def test_damage_is_the_exit_code_beside_other_failures(run, sbt):
    damage(sbt / "a.sbt")
    assert run("verify", "sbt", "--against", "originals", "--min-psnr", 99)[0] == 3


def test_originals_are_found_where_the_files_stand(run, sbt):
    Path("sbt/x").mkdir()
    Path("originals/x").mkdir()
    Path("sbt/b.sbt").rename("sbt/x/b.sbt")
    Path("originals/b.png").rename("originals/x/b.png")
    assert run("verify", "sbt", "-r", "--against", "originals", "--min-psnr", 20)[0] == 0
    Image.new("RGB", (64, 48)).save("originals/x/b.bmp")
    code, out, _ = run("verify", "sbt", "-r", "--against", "originals")
    assert code == 5
    assert "found b.bmp and b.png" in out
    Path("originals/a.png").unlink()
    assert "found no image of that name" in run("verify", "sbt", "--against", "originals")[1]


def test_wrong_usage_is_told_before_work_begins(run, sbt, monkeypatch):
    module = replace_codec(monkeypatch)
    del module.Codec
    assert run("verify", "sbt/a.sbt", "--min-psnr", 30)[0] == 2
    code, out, err = run("verify", "sbt", "--against", "originals/a.png")
    assert (code, out) == (5, "")
    assert "name the folder" in err
    code, _, err = run("verify", "sbt", "--against", "none")
    assert code == 5
    assert "none does not exist" in err


def test_verify_on_no_sbt_file_does_not_import_torch(tmp_path):
    (tmp_path / "a.sbt").write_text("text")
    script = """
import atexit, sys
atexit.register(lambda: print("torch" in sys.modules))
from sbtcodec.cli import main
main()
"""
    for command in (["verify", "a.sbt"], ["info", "a.sbt"], ["--help"], ["verify", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *command],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stdout.splitlines()[-1] == "False", done
