"""Published curves: what they hold, which images they are about, and how they are marked."""

import json
import re
import shutil
from dataclasses import replace
from io import StringIO

import pytest
from evaluation_samples import picture, run_of
from PIL import Image
from rich.console import Console

from sbtcodec.errors import DatasetError, SbtError
from sbtcodec.evaluation import document, published, table
from sbtcodec.evaluation.curves import METRICS, bd_rate, mean_curve, published_curve
from sbtcodec.evaluation.datasets import open_dataset
from sbtcodec.evaluation.kodak import KODAK_SHA256
from sbtcodec.evaluation.plots import HEIGHT
from sbtcodec.evaluation.published import PublishedCurve, check_kodak, published_curves
from sbtcodec.evaluation.report import render_report
from sbtcodec.evaluation.run import reuse

PAIRS = [(0.1, 25.0), (0.2, 28.0), (0.5, 32.0)]
OURS = {"sbt": PAIRS, "jpeg": [(0.2, 25.0), (0.5, 29.0)]}


def curve(name="theirs", *, factor=2.0, ms_ssim=True, more=()):
    """A curve of `factor` times the rates of `PAIRS`, then more points."""
    pairs = [(factor * bpp, psnr) for bpp, psnr in PAIRS] + list(more)
    return PublishedCurve(
        name,
        "made up",
        "a/b.json of Owner/name 01234567",
        tuple(bpp for bpp, _ in pairs),
        tuple(psnr for _, psnr in pairs),
        tuple(1 - 10 ** (-psnr / 20) for _, psnr in pairs) if ms_ssim else (),
    )


def compared(*curves):
    return replace(run_of(OURS), published=curves)


def test_published_curves_are_whole_and_rise_with_the_rate():
    curves = published_curves()
    assert {"vtm", "hm", "bmshj2018-hyperprior", "elic2022"} <= {one.name for one in curves}
    assert len({one.name for one in curves}) == len(curves)
    for one in curves:
        perceptual = bool(one.lpips)
        assert len(one.bpp) == len(one.psnr) >= (2 if perceptual else 6), one.name
        assert list(one.bpp) == sorted(one.bpp), one.name
        assert len(one.ms_ssim) in (0, len(one.bpp)), one.name
        assert all(15 < value < 60 for value in one.psnr), one.name
        assert all(0.5 < value < 1 for value in one.ms_ssim), one.name
        assert perceptual or one.source.startswith("results/image/kodak/"), one.name
        for values in (one.lpips, one.dists):  # less is better, and falls with the rate
            assert len(values) in (0, len(one.bpp)) and (len(values) > 0) == perceptual, one.name
            assert list(values) == sorted(values, reverse=True), one.name
            assert all(0.02 < value < 0.5 for value in values), one.name


def test_their_licence_lies_beside_them():
    text = (published.files("sbtcodec.evaluation") / "published_kodak.LICENSE").read_text()
    assert "InterDigital" in text
    assert "this list of conditions and the following disclaimer" in text


def test_curves_come_in_the_order_asked_for_and_an_unknown_one_is_refused():
    assert [one.name for one in published_curves(["hm", "vtm", "hm"])] == ["hm", "vtm"]
    with pytest.raises(SbtError, match="no published curve is called 'vmt'; there are vtm, hm"):
        published_curves(["vmt"])


def test_perceptual_codecs_are_among_all_where_learned_metrics_are_compared():
    plain, learned = published_curves(), published_curves(learned=True)
    assert not any(one.lpips for one in plain)
    assert {"hific", "ms-illm", "stablecodec"} <= {one.name for one in learned} - {
        one.name for one in plain
    }
    assert published_curves(["hific"])[0].lpips
    perceptual = replace(curve("hific"), lpips=(0.5, 0.4, 0.2))
    assert "hific: perceptual, to be judged by LPIPS" in table.published_caption(
        compared(curve(), perceptual)
    )
    assert "perceptual" not in table.published_caption(compared(curve()))
    measured = replace(compared(perceptual), metrics={"lpips": "LPIPS: x"})
    assert "perceptual" not in table.published_caption(measured)


@pytest.mark.parametrize(
    "change",
    [
        {"bpp": "0.1"},
        {"bpp": None},
        {"lpips": [0.5]},
        {"psnr": [25.0, 28.0]},
        {"ms_ssim": ["a", "b", "c"]},
        {"name": ["theirs"]},
        {"source": 3},
    ],
)
def test_a_damaged_curve_of_a_document_is_told(change):
    parsed = json.loads(document.to_json(compared(curve())))
    parsed["published"][0] |= change
    with pytest.raises(SbtError, match="not a benchmark document"):
        document.from_json(json.dumps(parsed))
    parsed["published"][0] = ["theirs"]
    with pytest.raises(SbtError, match="not a benchmark document"):
        document.from_json(json.dumps(parsed))


def test_images_that_are_not_all_of_kodak_are_refused(tmp_path):
    for name in ("kodim01", "kodim02"):
        Image.fromarray(picture()).save(tmp_path / f"{name}.png")
    with pytest.raises(DatasetError, match="all 24 Kodak images; found 2 images of"):
        check_kodak(open_dataset(str(tmp_path)))


def test_kodak_is_known_by_its_files_and_not_by_its_name(tmp_path, monkeypatch):
    Image.fromarray(picture()).save(tmp_path / "one.png")
    for name in KODAK_SHA256:
        shutil.copy(tmp_path / "one.png", tmp_path / name)
    (tmp_path / "one.png").unlink()
    dataset = open_dataset(str(tmp_path))
    with pytest.raises(DatasetError, match="24 images of"):
        check_kodak(dataset)
    monkeypatch.setattr(published, "sha256_of", lambda path: KODAK_SHA256[path.name])
    check_kodak(dataset)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_bd_rate_against_a_published_curve_of_scaled_rates_is_the_scale(factor):
    ours = mean_curve(run_of(OURS).subject)
    for metric in METRICS[:2]:
        rate = bd_rate(published_curve(curve(factor=factor)), ours, metric)
        assert rate.percent == pytest.approx(100 * (1 / factor - 1), abs=1e-6)


def test_what_was_not_published_is_not_compared():
    ((_, (psnr, ms_ssim)),) = table.published_rows(compared(curve(ms_ssim=False)))
    assert table.percent(psnr[1]) == "−50.0 %"
    assert table.percent(ms_ssim[1]) == "–"


def test_learned_metrics_are_compared_where_the_run_has_them():
    theirs = replace(curve(), lpips=(0.5, 0.4, 0.2), dists=(0.3, 0.2, 0.1))
    plain = compared(theirs)
    ((_, rates),) = table.published_rows(plain)
    assert [metric.key for metric, _ in rates] == ["psnr", "ms_ssim_db"]
    codecs = tuple(
        replace(
            codec,
            measurements=tuple(
                replace(m, lpips=value, cvvdp=5.0)
                for m, value in zip(codec.measurements, (0.5, 0.4, 0.2), strict=False)
            ),
        )
        for codec in plain.codecs
    )
    results = replace(plain, codecs=codecs, metrics={"lpips": "LPIPS: x", "cvvdp": "CVVDP: y"})
    ((_, rates),) = table.published_rows(results)
    assert [metric.key for metric, _ in rates] == ["psnr", "ms_ssim_db", "lpips"]
    assert table.percent(rates[2][1]) == "−50.0 %"
    assert "| PSNR | MS-SSIM | LPIPS |" in table.markdown_published(results)
    page = render_report(results)
    assert "theirs, published: 0.200 bpp, LPIPS 0.500" in page
    assert "0.1000" in page.split('id="published"')[1].split("</section>")[0]
    assert document.from_json(document.to_json(results)) == results
    assert "dists" not in document.to_json(compared(curve()))


def test_published_and_measured_codecs_do_not_share_a_table():
    results = compared(curve())
    assert "theirs" not in table.markdown_table(results, codecs=["sbt", "jpeg", "theirs"])
    text = table.markdown_published(results)
    assert "| theirs (made up) | −50.0 % (25.0…32.0) |" in text
    assert "jpeg" not in text
    assert "Published, not measured here: means over the 24 Kodak images, from Owner/name" in text


def test_the_terminal_shows_published_curves_apart():
    console = Console(width=80, file=StringIO())
    console.print(table.rich_tables(compared(curve())))
    measured, apart = console.file.getvalue().split("BD-rate of sbt against published curves")
    assert "theirs" not in measured
    assert "theirs" in apart
    assert "jpeg" not in apart
    assert "not measured here" in apart


def test_the_report_marks_published_curves_in_plots_and_in_a_table_of_their_own():
    page = render_report(compared(curve()))
    psnr, ms_ssim, ssimulacra2 = (part.split("</svg>")[0] for part in page.split("<svg")[1:])
    # one line in the plot and one in its legend
    assert [svg.count("stroke-dasharray") for svg in (psnr, ms_ssim, ssimulacra2)] == [2, 2, 0]
    assert "theirs, published: 0.200 bpp" in psnr
    assert "theirs" not in ssimulacra2
    section = page.split('id="published"')[1].split("</section>")[0]
    assert "Published, not measured here" in section
    assert "a/b.json of Owner/name 01234567" in section
    assert "theirs" not in page.split('id="numbers"')[1]
    assert 'id="published"' not in render_report(run_of(OURS))


def test_a_plot_of_what_was_not_published_does_not_name_the_curve():
    page = render_report(compared(curve(ms_ssim=False)))
    psnr, ms_ssim, _ = (part.split("</svg>")[0] for part in page.split("<svg")[1:])
    assert ">theirs</text>" in psnr
    assert "theirs" not in ms_ssim


def test_long_names_of_published_curves_stand_under_the_plot():
    def lowest_name(page):
        svg = page.split("<svg")[1].split("</svg>")[0]
        height = int(re.search(r'viewBox="0 0 \d+ (\d+)"', svg)[1])
        (y,) = re.findall(r'y="(\d+)" fill="var\(--ink\)">sbt</text>', svg)
        return int(y), height

    assert lowest_name(render_report(run_of(OURS))) < (HEIGHT // 2, HEIGHT)
    y, height = lowest_name(render_report(compared(curve())))
    assert HEIGHT < y < height


def test_earlier_results_keep_their_published_curves():
    earlier = compared(curve())
    ours = replace(run_of(OURS), codecs=earlier.codecs[:1])
    assert reuse(ours, earlier).published == earlier.published
    asked = replace(ours, published=(curve("others"),))
    assert reuse(asked, earlier).published == asked.published


def test_plots_end_at_the_highest_rate_measured():
    page = render_report(compared(curve(factor=1.0, more=[(3.0, 45.0)])))
    assert "theirs, published: 0.500 bpp" in page
    assert "3.000 bpp" not in page


def test_json_keeps_published_curves_and_old_documents_have_none():
    results = compared(curve(), curve("others", ms_ssim=False))
    text = document.to_json(results)
    assert document.from_json(text) == results
    parsed = json.loads(text)
    assert parsed["summary"]["bd_rate_published"]["theirs"]["psnr"]["percent"] == pytest.approx(-50)
    assert list(parsed["summary"]["bd_rate"]) == ["jpeg"]
    plain = document.to_json(run_of(OURS))
    assert "published" not in plain
    assert document.from_json(plain).published == ()
