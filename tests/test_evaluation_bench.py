"""The bench command, as a user calls it."""

import json
import sys
from types import ModuleType

import pytest
import typer
from evaluation_samples import StubModel, picture
from PIL import Image
from typer.testing import CliRunner

from sbtcodec.cli.bench import bench
from sbtcodec.cli.common.advice import with_options
from sbtcodec.errors import DatasetError, OutputError
from sbtcodec.evaluation import published, vision
from sbtcodec.evaluation.vision import VisionMetric


@pytest.fixture
def call(tmp_path, monkeypatch):
    module = ModuleType("sbtcodec.codec.codec")
    module.Codec = type("Codec", (), {"load": staticmethod(lambda device, **_: StubModel())})
    monkeypatch.setitem(sys.modules, "sbtcodec.codec.codec", module)
    (tmp_path / "images").mkdir()
    Image.fromarray(picture()).save(tmp_path / "images" / "one.png")
    app = typer.Typer()
    app.command()(bench)

    def invoke(*arguments):
        common = ["--dataset", str(tmp_path / "images"), "--codecs", "sbt,jpeg"]
        common += ["--qualities", "globals,30,80"]
        return CliRunner().invoke(app, [*common, *arguments])

    return invoke


def test_bench_writes_json_and_report_and_prints_tables(call, tmp_path):
    out, report = tmp_path / "results.json", tmp_path / "report.html"
    done = call("--out", str(out), "--report", str(report))
    assert done.exit_code == 0, done.output
    assert "BD-rate of sbt" in done.stdout
    assert json.loads(out.read_text())["codecs"][0]["name"] == "sbt"
    assert report.read_text().startswith("<!doctype html>")


def test_bench_prints_pure_json_for_machines(call):
    done = call("--json")
    assert [codec["name"] for codec in json.loads(done.stdout)["codecs"]] == ["sbt", "jpeg"]


def test_bench_measures_an_effort_and_says_so(call):
    plain, slow = (json.loads(call("--json", *more).stdout) for more in ((), ("--effort", "6")))
    settings = [run["codecs"][0]["settings"] for run in (plain, slow)]
    assert settings == ["model stub-1", "model stub-1, effort 6"]
    sizes = [[m["size"] for m in run["codecs"][0]["measurements"]] for run in (plain, slow)]
    assert sizes[0] != sizes[1]
    assert "effort 6" in " ".join(call("--effort", "6").stdout.split())


def test_bench_refuses_before_it_works(call, tmp_path):
    out = tmp_path / "results.json"
    out.write_text("kept")
    assert isinstance(call("--out", str(out)).exception, OutputError)
    assert out.read_text() == "kept"
    assert isinstance(call("--crops", "two").exception, DatasetError)


def test_bench_takes_other_codecs_from_earlier_results(call, tmp_path):
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert call("--codecs", "jpeg,webp", "--out", str(first)).exit_code == 0
    assert call("--codecs", "sbt", "--reuse", str(first), "--out", str(second)).exit_code == 0
    earlier, merged = (json.loads(path.read_text())["codecs"] for path in (first, second))
    assert [codec["name"] for codec in merged] == ["sbt", "jpeg", "webp"]
    assert merged[1:] == earlier


def test_bench_refuses_earlier_results_of_other_images(call, tmp_path):
    first = tmp_path / "first.json"
    assert call("--codecs", "jpeg", "--out", str(first)).exit_code == 0
    Image.fromarray(picture()).save(tmp_path / "images" / "two.png")
    done = call("--codecs", "sbt", "--reuse", str(first))
    assert done.exit_code == 1
    assert "measure all codecs again" in str(done.exception)


def test_bench_measures_models_of_vision_where_asked(call, monkeypatch):
    halved = VisionMetric("flip", "FLIP: a stand-in", lambda x, x_hat: 0.5)
    asked = []

    def load(names):
        asked.append(list(names))
        return (halved,) if names else ()

    monkeypatch.setattr(vision, "load_vision_metrics", load)
    found = json.loads(call("--metrics", " flip", "--json").stdout)
    assert asked == [["flip"]]
    assert found["metrics"] == {"flip": "FLIP: a stand-in"}
    assert {m["flip"] for codec in found["codecs"] for m in codec["measurements"]} == {0.5}
    assert "FLIP" in call("--metrics", "flip").stdout
    assert "metrics" not in json.loads(call("--json").stdout)


def test_bench_refuses_published_curves_on_other_images_before_it_works(call, tmp_path):
    out = tmp_path / "results.json"
    done = call("--published", "vtm", "--out", str(out))
    assert isinstance(done.exception, DatasetError)
    assert "--dataset kodak" in with_options(str(done.exception))
    assert not out.exists()


def test_bench_compares_with_published_curves(call, monkeypatch):
    monkeypatch.setattr(published, "check_kodak", lambda images: None)
    found = json.loads(call("--published", "hm,vtm", "--json").stdout)
    assert [curve["name"] for curve in found["published"]] == ["hm", "vtm"]
    assert len(json.loads(call("--published", "all", "--json").stdout)["published"]) > 10
    assert "published" not in json.loads(call("--json").stdout)
