"""The HTML report: self-contained, complete, and fair about sizes."""

import base64
import hashlib
import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_samples import StubModel, picture, run_of
from jinja2 import UndefinedError
from PIL import Image

from sbtcodec.errors import DatasetError
from sbtcodec.evaluation import crops
from sbtcodec.evaluation.codecs import SbtCodec
from sbtcodec.evaluation.data_uris import png_uri
from sbtcodec.evaluation.datasets import open_dataset
from sbtcodec.evaluation.page import grouped, render_page
from sbtcodec.evaluation.plots import (
    PlotPoint,
    Series,
    linear_ticks,
    log_ticks,
    rate_distortion_svg,
)
from sbtcodec.evaluation.report import render_report
from sbtcodec.evaluation.results import ImageInfo
from sbtcodec.evaluation.run import Job, make_jobs, run_benchmark


class Balance(HTMLParser):
    """Collects elements, and fails on a tag that closes nothing."""

    void = frozenset({"meta", "img", "br", "input"})

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def text_of(self, tag):
        return [text for at, text in self.texts if at == tag]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for name in "abc":
        Image.fromarray(picture(300, 280, ord(name))).save(folder / f"{name}.png")
    dataset = open_dataset(str(folder))
    jobs = [Job(SbtCodec(StubModel()), ("globals", 40, 90)), *make_jobs(["jpeg"], ["20,90"])]
    results = run_benchmark(dataset, jobs, progress=False)
    return dataset, [job.codec for job in jobs], results


@pytest.fixture(scope="module")
def page(made):
    dataset, codecs, results = made
    return render_report(
        results,
        crops.make_sheets(
            results, dataset, codecs, images=["a", "c"], qualities=["globals", 40, 90]
        ),
    )


def test_the_report_has_no_external_addresses(page):
    text = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?:|ftp:|[\"'(]//|@import|url\(", text)
    parser = Balance()
    parser.feed(page)
    links = [a[k] for _, a in parser.seen for k in ("src", "href") if k in a]
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)


def test_the_report_is_well_formed_and_every_picture_has_a_text(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    pictures = [attributes for tag, attributes in parser.seen if tag == "img"]
    assert len(pictures) == 2 * (1 + 3 * 2)
    assert all(attributes["alt"] for attributes in pictures)
    ids = {attributes["id"] for _, attributes in parser.seen if "id" in attributes}
    targets = {a["href"][1:] for tag, a in parser.seen if tag == "a"}
    assert targets <= ids


def test_the_report_holds_the_numbers_of_the_run(page, made):
    smallest = min(made[2].subject.measurements, key=lambda m: m.size)
    assert "stub-1" in page
    assert page.count("<svg") == 3
    if smallest.image in "ac":
        assert f"{grouped(smallest.size)} bytes" in page


def test_names_are_escaped():
    assert "A &lt;fast&gt; CPU" in render_report(run_of({"jpeg": [(0.1, 25.0), (0.2, 27.0)]}))


HOSTILE = """</script><script>'1' & "2"</title><b>.sbt"""


def assert_runs_only_its_own_script(parser):
    """The page has one script, the one that its content security policy names."""
    (script,) = parser.text_of("script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (a["content"] for _, a in parser.seen if "http-equiv" in a)
    assert re.search(r"script-src\s+([^;]*);", policy)[1] == f"'sha256-{digest}'"
    assert [tag for tag, _ in parser.seen].count("script") == 1


def test_names_in_the_report_are_text_wherever_they_stand():
    curves = {"sbt": [(0.1, 25.0), (0.2, 27.0)], HOSTILE: [(0.1, 24.0), (0.3, 26.0)]}
    results = replace(
        run_of(curves),
        dataset=HOSTILE,
        commit=HOSTILE,
        images=(ImageInfo(HOSTILE, 100, 80),),
        packages={HOSTILE: HOSTILE},
    )
    crop = crops.Crop(HOSTILE, 50, 1000, 0.1, 25.0, picture())
    sheet = crops.CropSheet(HOSTILE, 0, 0, picture(), (crops.CropRow(crop, (crop,)),))
    parser = Balance()
    parser.feed(render_report(results, [sheet]))
    assert parser.open == []
    assert_runs_only_its_own_script(parser)
    for tag in ("h1", "h3", "h4", "th", "summary", "small", "option", "b", "dd", "text"):
        assert any(HOSTILE in text for text in parser.text_of(tag)), tag
    assert parser.text_of("title")[0] == f"sbt on {HOSTILE}"
    for name, count in (("alt", 3), ("aria-label", 4), ("label", 2)):
        assert sum(HOSTILE in a.get(name, "") for _, a in parser.seen) == count, name


def test_a_page_is_not_made_without_one_of_its_values():
    with pytest.raises(UndefinedError, match="'caption' is undefined"):
        render_page("report.html", subject="sbt", dataset="sample")


def test_a_picture_survives_its_data_uri():
    kind, data = png_uri(picture()).split(",")
    assert kind == "data:image/png;base64"
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert np.array_equal(decoded, picture())


def test_crops_are_centred_and_at_the_nearest_bytes(made):
    dataset, codecs, results = made
    (sheet,) = crops.make_sheets(results, dataset, codecs, images=["b"], qualities=[90])
    assert sheet.original.shape == (256, 256, 3)
    assert (sheet.left, sheet.top) == (12, 22)
    row = sheet.rows[0]
    jpeg, rgb = codecs[1], dataset.image("b")
    ratio = abs(math.log(row.baselines[0].size / row.subject.size))
    everything = [len(jpeg.encode(rgb, quality)) for quality in range(1, 101)]
    assert ratio == min(abs(math.log(size / row.subject.size)) for size in everything)


def test_a_baseline_that_cannot_be_so_small_shows_its_smallest(made):
    dataset, codecs, _ = made
    quality, data = crops.nearest_quality(codecs[1], dataset.image("a"), 10)
    assert quality <= 2  # libjpeg clamps the lowest steps, so qualities 1 and 2 give one file
    assert len(data) == len(codecs[1].encode(dataset.image("a"), 1))


def test_known_sizes_spare_encodings(made):
    dataset, codecs, _ = made
    rgb, sizes = dataset.image("a"), {}
    for quality in (20, 90):
        sizes[quality] = len(codecs[1].encode(rgb, quality))
    target = (sizes[20] + sizes[90]) // 2
    assert crops.nearest_quality(codecs[1], rgb, target, sizes) == crops.nearest_quality(
        codecs[1], rgb, target
    )


def test_an_unknown_image_is_refused(made):
    dataset, codecs, results = made
    with pytest.raises(DatasetError, match="no image 'z'"):
        crops.make_sheets(results, dataset, codecs, images=["z"])


def test_default_crops_are_spread_evenly(made):
    dataset, _, results = made
    assert crops.default_images(dataset) == ("a", "b", "c")
    assert crops.default_qualities(results)[0] == "globals"


def test_ticks_enclose_the_values():
    assert log_ticks(0.016, 1.3) == pytest.approx([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2])
    assert log_ticks(0.1, 0.1) == pytest.approx([0.1, 0.2])
    assert linear_ticks(21.3, 36.9) == pytest.approx([20, 25, 30, 35, 40])
    assert linear_ticks(30, 30)[0] <= 30 < linear_ticks(30, 30)[-1]


def test_a_plot_has_a_title_for_every_finite_point_and_escapes_names():
    points = (PlotPoint(0.1, 20, "first"), PlotPoint(0.5, 30, "second"), PlotPoint(3, math.inf, ""))
    svg = rate_distortion_svg([Series("<b>", points)], title="t", y_label="PSNR")
    assert svg.count("<title>") == 2
    assert "<b>" not in svg
    quoted = rate_distortion_svg([Series("x", points)], title='a " < b', y_label="<c>")
    parser = Balance()
    parser.feed(quoted)
    assert parser.seen[0][1]["aria-label"] == 'a " < b'
    assert "<c>" in parser.text_of("text")
    assert "no values" in rate_distortion_svg([Series("x", ())], title="t", y_label="y")
