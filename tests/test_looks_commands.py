"""The vivid look on the command line: what is written, marked, told and refused."""

import importlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from evaluation_samples import picture
from PIL import Image
from profiles import RED_AND_BLUE_SWAPPED
from stand_in import assert_fails, runner
from test_evaluation_report import Balance

from sbtcodec.cli.common.report import number
from sbtcodec.evaluation.codecs import SbtCodec, load_codec
from sbtcodec.evaluation.compare import compare, default_area
from sbtcodec.evaluation.compare_page import render_comparison
from sbtcodec.evaluation.qualities import parse_qualities
from sbtcodec.image.picture import Picture

MARK = "detail synthesised by sbtcodec, realism "


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, photo, look_codec):
    """A folder with a photograph and its file."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("photo.png")
    Path("photo.sbt").write_bytes(look_codec.compress(photo, quality=40))


def installed(monkeypatch, folder):
    """Have a folder of models be the installation's, wherever it is looked up."""
    for module in ("models.release", "codec.light_codec", "cli.info", "cli.models"):
        found = importlib.import_module(f"sbtcodec.{module}")  # commands hide their modules
        monkeypatch.setattr(found, "weights_dir", lambda: folder)


@pytest.fixture
def run(monkeypatch, capsys, look_weights):
    """Run the program with the tiny model and its look."""
    installed(monkeypatch, look_weights)
    return runner(monkeypatch, capsys)


@pytest.fixture
def run_without(monkeypatch, capsys, tiny_weights):
    """Run the program with the tiny model alone."""
    installed(monkeypatch, tiny_weights)
    return runner(monkeypatch, capsys)


def pixels(path):
    return np.asarray(Image.open(path))


def mark_of(path):
    xmp = Image.open(path).info.get("xmp") or Image.open(path).info.get("XML:com.adobe.xmp", "")
    return xmp.decode() if isinstance(xmp, bytes) else xmp


# decompress


def test_decompress_writes_the_look_and_says_so(run, look_codec):
    options = ("--precision", "float32", "--device", "cpu")
    assert run("decompress", "photo.sbt", "plain.png", *options)[0] == 0
    code, out, err = run("decompress", "photo.sbt", "vivid.png", "--realism", "1", *options)
    assert (code, err) == (0, "") and "realism 1 " in out
    data = Path("photo.sbt").read_bytes()
    assert np.array_equal(pixels("vivid.png"), look_codec.decode(data, realism=1).rgb)
    assert MARK + "1.0" in mark_of("vivid.png")
    assert not np.array_equal(pixels("plain.png"), pixels("vivid.png"))
    assert mark_of("plain.png") == ""


def test_the_realism_is_told_to_machines(run):
    for realism in (0, 0.5):
        options = ("--force", "--json", "--realism", realism)
        told = json.loads(run("decompress", "photo.sbt", "a.png", *options)[1])
        assert told["realism"] == realism and told["state"] == "done"


@pytest.mark.parametrize("extension", ["png", "webp", "tif", "jpg"])
def test_every_format_with_metadata_carries_the_mark(run, extension):
    assert run("decompress", "photo.sbt", f"a.{extension}", "--realism", 0.5)[::2] == (0, "")
    assert MARK.encode() + b"0.5" in Path(f"a.{extension}").read_bytes()


def test_a_format_that_cannot_say_it_is_told(run):
    code, _, err = run("decompress", "photo.sbt", "a.ppm", "--realism", 0.5)
    assert code == 0 and "XMP data is dropped, as PPM cannot hold it" in err


def test_a_batch_takes_the_look(run):
    Path("more").mkdir()
    for name in ("a", "b"):
        Path("more", f"{name}.sbt").write_bytes(Path("photo.sbt").read_bytes())
    code, out, _ = run("decompress", "more", "--realism", 1, "--out-dir", "out", "--jobs", 2)
    assert code == 0 and "2 done" in out
    assert all(MARK in mark_of(path) for path in Path("out").iterdir())


def test_strip_writes_no_metadata_and_colours_in_srgb(run, look_codec, photo):
    picture = Picture(photo, icc=RED_AND_BLUE_SWAPPED, exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    Path("own.sbt").write_bytes(look_codec.compress(picture, quality=40))
    run("decompress", "own.sbt", "own.png")
    assert "icc_profile" in Image.open("own.png").info
    for source, told in (("own", "from the embedded profile to sRGB"), ("photo", "")):
        code, _, err = run("decompress", f"{source}.sbt", "bare.png", "--strip", "--force")
        assert code == 0 and told in err and err.count("\n") == bool(told)
        assert Image.open("bare.png").info == {}
        assert run("decompress", f"{source}.sbt", "b.png", "--strip", "--realism", 1, "-f")[0] == 0
        assert Image.open("b.png").info == {}
    run("decompress", "own.sbt", "bare.png", "--strip", "--force", "--quiet")
    swapped = pixels("own.png")[:, :, ::-1].astype(int)
    assert np.abs(swapped - pixels("bare.png")).mean() < 2


@pytest.mark.parametrize("realism", ["-0.1", "1.1", "nan", "much", "1e400"])
def test_a_realism_that_is_no_share_is_wrong_usage(run, realism):
    code, out, err = run("decompress", "photo.sbt", "a.png", "--realism", realism)
    assert (code, out) == (2, "") and "--realism" in err and "Traceback" not in err
    assert sorted(os.listdir()) == ["photo.png", "photo.sbt"]


@pytest.mark.parametrize("command", ["tokens", "verify", "compress"])
def test_commands_that_show_nothing_know_no_realism(run, command):
    source = "photo.png" if command == "compress" else "photo.sbt"
    code, out, err = run(command, source, "--realism", "1")
    assert (code, out) == (2, "") and "--realism" in err
    assert sorted(os.listdir()) == ["photo.png", "photo.sbt"]


def test_a_model_without_a_look_is_told_in_one_sentence(run_without):
    sentence = "no vivid look of model 1 is installed, models that have one: none; leave --realism"
    assert_fails(run_without("decompress", "photo.sbt", "a.png", "--realism", "1"), 4, sentence)
    assert not Path("a.png").exists()
    code, out, _ = run_without("decompress", "photo.sbt", "a.png", "--realism", "1", "--json")
    assert code == 4 and json.loads(out)["exit_code"] == 4


def test_onnxruntime_without_torch_says_what_is_needed(run, monkeypatch):
    shared = "sbtcodec.cli.common.shared_codec.torch_is_installed"
    monkeypatch.setattr(shared, lambda: False)
    result = run("decompress", "photo.sbt", "a.png", "--realism", "1")
    assert_fails(result, 4, "install torch, or leave --realism out")


# info and models


def test_info_says_which_looks_the_model_has(run):
    assert "looks of its model: faithful, vivid" in run("info", "photo.sbt")[1]
    assert json.loads(run("info", "photo.sbt", "--json")[1])["looks"] == ["faithful", "vivid"]


def test_info_of_a_model_without_a_vivid_look_or_that_is_not_there(run_without, monkeypatch, codec):
    assert run_without("info", "photo.sbt")[1].endswith("looks of its model: faithful\n")
    other = np.zeros((9, 9, 3), np.uint8)
    Path("other.sbt").write_bytes(codec.compress(other))
    assert "looks" not in run_without("info", "other.sbt")[1]
    assert json.loads(run_without("info", "other.sbt", "--json")[1])["looks"] is None


def test_models_lists_looks(run, look_weights, tiny_weights):
    (name,) = (path.name for path in look_weights.glob("*-vivid.safetensors"))
    size = (look_weights / name).stat().st_size
    code, out, _ = run("models")
    assert code == 0 and f"look vivid of model 1, {number(size)} bytes" in out
    told = json.loads(run("models", "--json")[1])
    assert told["looks"] == [{"name": "vivid", "file": name, "bytes": size}]
    assert json.loads(run("models", "--json", "--weights", tiny_weights)[1])["looks"] == []


# compare, bench and demo


def test_the_page_has_both_looks_side_by_side_and_as_versions(look_codec, photo):
    data = Path("photo.sbt").read_bytes()
    told = []
    found = compare(photo, data, look_codec, [], default_area(227, 151), tell=told.append)
    (look,) = found.looks
    assert told[-1] == look.label
    assert (look.key, look.size) == ("sbt-vivid", len(data))
    assert np.array_equal(look.pixels, look_codec.decode(data, realism=1).rgb)
    page = render_comparison(found, "a.sbt", "a.png", Path("photo.png").read_bytes())
    parser = Balance()
    parser.feed(page)
    ids = [a["id"] for _, a in parser.seen if "id" in a]
    assert len(set(ids)) == len(ids) and {"viewer", "viewer-sbt-vivid", "sbt-vivid"} <= set(ids)
    assert page.count('<option value="sbt-vivid"') == 4  # left and right of both viewers
    assert 'id="looks"' in page and f"<dd>{MARK}1.0</dd>" in page


def test_a_page_of_a_model_without_a_look_is_as_before(tiny_codec, photo):
    data = Path("photo.sbt").read_bytes()
    found = compare(photo, data, tiny_codec, [], default_area(227, 151))
    page = render_comparison(found, "a.sbt", "a.png", Path("photo.png").read_bytes())
    assert found.looks == () and "vivid" not in page and 'id="looks"' not in page


def test_compare_tells_the_look_to_people_and_machines(run):
    options = ("--against", "none", "--force", "--device", "cpu")
    code, out, _ = run("compare", "photo.png", "photo.sbt", *options)
    assert code == 0 and "vivid look (whole file)" in out
    told = json.loads(run("compare", "photo.png", "photo.sbt", *options, "--json")[1])
    assert [v["name"] for v in told["versions"]][-1] == "sbt-vivid"
    assert run("compare", "photo.png", "photo.sbt", "--against", "sbt:vivid", "--force")[0] == 2


def test_the_benchmark_takes_the_look_as_a_codec_of_its_own(run, look_codec, monkeypatch):
    codec = load_codec("sbt:vivid")
    assert isinstance(codec, SbtCodec) and codec.settings.endswith("realism 1")
    rgb = picture()
    data = load_codec("sbt").encode(rgb, 30)
    assert codec.name == "sbt:vivid" and codec.encode(rgb, 30) == data
    expected = np.asarray(codec.model.decompress(data, realism=1))
    assert np.array_equal(codec.decode(data), expected)
    names = ["sbt", "sbt:vivid", "jpeg"]
    asked = parse_qualities(["globals,10", "sbt:vivid=globals,20"], names)
    assert asked == {"sbt": ("globals", 10), "sbt:vivid": ("globals", 20), "jpeg": (10,)}
    Path("set").mkdir()
    Image.fromarray(picture(200, 180)).save("set/a.png")
    options = ("--codecs", "sbt,sbt:vivid", "--qualities", "20,60", "--out", "r.json")
    code, out, _ = run("bench", "--dataset", "set", *options, "--report", "r.html")
    assert code == 0 and "sbt:vivid" in out
    codecs = json.loads(Path("r.json").read_text())["codecs"]
    assert [c["name"] for c in codecs] == ["sbt", "sbt:vivid"]
    assert [m["size"] for m in codecs[0]["measurements"]] == [
        m["size"] for m in codecs[1]["measurements"]
    ]


def test_a_benchmark_of_a_look_that_is_not_there_ends_at_once(run_without):
    Path("set").mkdir()
    Image.fromarray(picture()).save("set/a.png")
    result = run_without("bench", "--dataset", "set", "--codecs", "sbt:vivid")
    assert_fails(result, 4, "no vivid look of model 1")


def test_the_demo_shows_the_look(run, run_without, monkeypatch, look_weights, tiny_weights):
    monkeypatch.setattr(
        "sbtcodec.image.demo_picture.demo_picture", lambda: np.full((64, 96, 3), 99, np.uint8)
    )
    for folder, vivid in ((look_weights, True), (tiny_weights, False)):
        installed(monkeypatch, folder)
        assert run("demo", f"demo-{vivid}")[0] == 0
    sheets = [f"demo-{vivid}/demo-comparison.png" for vivid in (True, False)]
    assert MARK + "1.0" in mark_of(sheets[0]) and mark_of(sheets[1]) == ""
    heights = [pixels(sheet).shape[0] for sheet in sheets]
    row = 64 + 34 + 8  # a picture, its caption and the gap
    assert [(height - 8) / row for height in heights] == [4, 2]
