"""Models of vision as metrics: their packages are stood in for, but for the last tests."""

import importlib
import json
import math
import re
import sys
from dataclasses import replace
from io import StringIO
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from evaluation_samples import picture, run_of
from rich.console import Console

from sbtcodec.errors import ImageError, SbtError
from sbtcodec.evaluation import document, extras, run, table, vision
from sbtcodec.evaluation.curves import VISION_METRICS, bd_rate, frontier, mean_curve, metrics_of
from sbtcodec.evaluation.report import render_report
from sbtcodec.evaluation.vision import load_vision_metrics

CVVDP, FLIP, *_ = VISION_METRICS
SETTINGS = {"cvvdp": "CVVDP: cvvdp 1, display x", "flip": "FLIP: flip-evaluator 1, LDR"}
ALL = SETTINGS | {"lpips": "LPIPS: lpips 1", "dists": "DISTS: DISTS-pytorch 1"}
CURVES = {
    "sbt": [(0.08, 25.0), (0.16, 28.0), (0.4, 32.0)],
    "jpeg": [(0.1, 25.0), (0.2, 28.0), (0.5, 32.0)],
}


@pytest.fixture
def packages(monkeypatch):
    """Stand-ins that score the mean difference, as each package takes and returns images."""

    class Cvvdp:
        def __init__(self, *, display_name, device, quiet):
            assert (display_name, str(device), quiet) == ("standard_4k", "cpu", True)

        def predict(self, test, reference, *, dim_order):
            assert dim_order == "HWC"
            assert test.dtype == reference.dtype == np.uint8
            return np.float32(10 - (reference.astype(float) - test).mean() / 255), {}

    def evaluate(reference, test, dynamic_range, *, applyMagma):  # noqa: N803  its name
        assert dynamic_range == "LDR"
        assert not applyMagma
        assert reference.dtype == test.dtype == np.float32
        assert 0 <= min(reference.min(), test.min()) <= max(reference.max(), test.max()) <= 1
        return None, float((reference - test).mean()), {}

    for name, content in (
        ("pycvvdp", {"cvvdp": Cvvdp}),
        ("flip_evaluator", {"evaluate": evaluate}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    versions = SimpleNamespace(version=lambda package: f"9.9 of {package}")
    monkeypatch.setattr(vision, "metadata", versions)


def seen(curves=CURVES, settings=SETTINGS):
    """A run with scores of vision: the better the PSNR, the more JOD and the less FLIP."""
    results = run_of(curves)
    codecs = tuple(
        replace(
            codec,
            measurements=tuple(
                replace(m, cvvdp=m.psnr / 5, flip=1 / m.psnr, lpips=2 / m.psnr, dists=3 / m.psnr)
                for m in codec.measurements
            ),
        )
        for codec in results.codecs
    )
    return replace(results, codecs=codecs, metrics=dict(settings))


def test_scores_are_of_the_decoded_image_against_the_original(packages):
    cvvdp, flip = load_vision_metrics(["cvvdp", "flip", "cvvdp"])
    x = np.full((6, 5, 3), 255, np.uint8)
    x_hat = np.full((6, 5, 3), 204, np.uint8)
    assert cvvdp.measure(x, x_hat) == pytest.approx(9.8, abs=1e-6)
    assert flip.measure(x, x_hat) == pytest.approx(0.2, abs=1e-6)


def test_the_settings_name_package_version_and_viewing_conditions(packages):
    cvvdp, flip = load_vision_metrics(["cvvdp", "flip"])
    assert "cvvdp 9.9 of cvvdp, display standard_4k" in cvvdp.settings
    assert "9.9 of flip-evaluator, LDR, 67 pixels per degree" in flip.settings


def test_images_that_do_not_match_are_refused_and_a_row_of_pixels_is_not_measured(packages):
    cvvdp, flip = load_vision_metrics(["cvvdp", "flip"])
    for metric in (cvvdp, flip):
        with pytest.raises(ImageError, match="decoded image is"):
            metric.measure(picture(), picture()[:-1])
    row = picture(1, 20)
    assert math.isnan(cvvdp.measure(row, row))
    assert flip.measure(row, row) == 0


def test_an_unknown_metric_is_refused():
    with pytest.raises(SbtError, match="called 'vmaf'; there are cvvdp, flip, lpips, dists"):
        load_vision_metrics(["vmaf"])


@pytest.mark.parametrize(("name", "module"), [("cvvdp", "pycvvdp"), ("flip", "flip_evaluator")])
def test_a_missing_package_is_told_with_the_extra_that_has_it(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SbtError, match=r"pip install 'sbtcodec\[vision\]'"):
        load_vision_metrics([name])


def test_a_torchvision_of_another_build_is_told_with_what_to_install(monkeypatch):
    def fail(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(extras, "importlib", SimpleNamespace(import_module=fail))
    with pytest.raises(SbtError, match=r"beside torch .*nms.*pip install torch==\S+ torchvision=="):
        load_vision_metrics(["cvvdp"])


def test_the_metrics_of_a_run_are_those_that_were_asked_for():
    assert CVVDP not in metrics_of(run_of(CURVES))
    assert metrics_of(seen(settings={"flip": ""}))[3:] == (FLIP,)


@pytest.mark.parametrize("metric", VISION_METRICS, ids=lambda metric: metric.key)
def test_the_bd_rate_of_scaled_rates_is_the_scale_whichever_way_is_better(metric):
    sbt, jpeg = map(mean_curve, seen().codecs)
    rate = bd_rate(jpeg, sbt, metric)
    assert rate.percent == pytest.approx(-20, abs=1e-6)
    assert (rate.low, rate.high) == (metric.of(sbt.points[0]), metric.of(sbt.points[-1]))


def test_a_point_that_costs_more_without_less_flip_is_left_out():
    curve = mean_curve(seen({"sbt": [*CURVES["sbt"], (0.3, 27.0)]}).codecs[0])
    best = ([0.08, 0.16, 0.4], [-1 / 25, -1 / 28, -1 / 32])
    assert frontier(curve, FLIP) == best
    twins = mean_curve(seen({"sbt": [(0.16, 26.0), *CURVES["sbt"], (0.16, 27.0)]}).codecs[0])
    assert frontier(twins, FLIP) == best


def test_json_keeps_scores_of_vision_and_their_settings():
    text = document.to_json(seen(settings=ALL))
    assert document.from_json(text) == seen(settings=ALL)
    parsed = json.loads(text)
    assert parsed["metrics"] == ALL
    assert parsed["summary"]["curves"]["sbt"][0]["lpips"] == pytest.approx(2 / 25, abs=1e-4)
    assert parsed["summary"]["bd_rate"]["jpeg"]["dists"]["percent"] == pytest.approx(-20)
    assert parsed["summary"]["bd_rate"]["jpeg"]["flip"]["percent"] == pytest.approx(-20)
    assert parsed["summary"]["curves"]["sbt"][0]["cvvdp"] == 5


def test_json_of_a_run_without_them_is_as_it_was():
    text = document.to_json(run_of(CURVES))
    assert not {"metrics", "published"} & set(json.loads(text))
    assert "cvvdp" not in text
    assert "flip" not in text
    assert document.from_json(text) == run_of(CURVES)


def test_tables_have_a_column_for_each_and_say_the_settings():
    text = table.markdown_table(seen())
    assert "| SSIMULACRA2 | CVVDP JOD | FLIP | encode s |" in text
    assert "| 50.0 | 5.00 | 0.040 | 0.250 |" in text
    assert "−20.0 % (0.040…0.031)" in text
    assert "CVVDP: cvvdp 1, display x. FLIP: flip-evaluator 1, LDR." in text
    assert "CVVDP" not in table.markdown_table(run_of(CURVES))
    assert "| LPIPS | DISTS | encode s |" in table.markdown_table(seen(settings=ALL))


@pytest.mark.parametrize("keys", [("cvvdp", "flip"), ("lpips", "dists"), tuple(ALL)])
def test_the_terminal_shows_whole_words_in_80_columns(keys):
    console = Console(width=80, file=StringIO())
    console.print(table.rich_tables(seen(settings={key: ALL[key] for key in keys})))
    shown = console.file.getvalue()
    assert "…" not in shown
    whole = {"SSIMULACRA2"} if len(keys) < 3 else {"SSIMU-", "LACRA2"}
    assert whole | {key.upper() for key in keys} <= set(shown.split())


def test_the_report_plots_each_and_says_which_way_is_better():
    page = render_report(seen())
    assert page.count("<svg") == 5
    assert "CVVDP (JOD)" in page
    assert "FLIP, less is better: the axis is reversed" in page
    flip = page.split("<svg")[5].split("</svg>")[0]
    # in every plot better is up, which leaves the corner of the legend free
    ours = re.findall(r'points="([\d., ]+)" fill="none"', flip)[-1]
    heights = [float(pair.split(",")[1]) for pair in ours.split()]
    assert len(heights) == 3
    assert heights == sorted(heights, reverse=True)
    assert "CVVDP: cvvdp 1, display x." in page
    assert "FLIP" not in render_report(run_of(CURVES))


def test_earlier_results_without_them_can_be_taken_along():
    ours = replace(seen(), codecs=seen().codecs[:1])
    merged = run.reuse(ours, run_of(CURVES))
    assert merged.metrics == SETTINGS
    jpeg = table.point_cells(mean_curve(merged.codecs[1]).points[0], merged)
    assert jpeg[6:8] == ("–", "–")
    (_, rates), *_ = table.bd_rate_rows(merged)
    assert [table.percent(rate) for _, rate in rates] == ["−20.0 %"] * 3 + ["–", "–"]
    assert document.from_json(document.to_json(merged)) == merged
    render_report(merged)


def test_metrics_that_only_the_earlier_results_have_stay():
    ours = replace(run_of(CURVES), codecs=run_of(CURVES).codecs[:1])
    merged = run.reuse(ours, seen())
    assert merged.metrics == SETTINGS
    assert document.from_json(document.to_json(merged)) == merged


def test_earlier_results_of_another_display_are_refused():
    ours = replace(seen(), codecs=seen().codecs[:1])
    with pytest.raises(SbtError, match="display y.*display x.*measure all codecs again"):
        run.reuse(ours, seen(settings={"cvvdp": "CVVDP: cvvdp 1, display y"}))


@pytest.mark.parametrize(("name", "best"), [("cvvdp", 10.0), ("flip", 0.0)])
def test_the_packages_score_as_they_say(name, best):
    module = {"cvvdp": "pycvvdp", "flip": "flip_evaluator"}[name]
    try:
        importlib.import_module(module)
    except Exception as error:  # noqa: BLE001  beside a torch of another build it fails in many ways
        pytest.skip(f"{module}: {error}")
    (metric,) = load_vision_metrics([name])
    x = picture(64, 96)
    same, slightly, badly = (metric.measure(x, y) for y in (x, x // 16 * 16, x // 64 * 64))
    assert same == pytest.approx(best, abs=1e-5)
    assert abs(slightly - best) < abs(badly - best)
    assert 0 <= badly <= 10
