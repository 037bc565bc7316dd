"""The run, its JSON document and its tables."""

import json
import math
from dataclasses import replace

import pytest
from evaluation_samples import StubModel, picture, run_of
from PIL import Image
from rich.console import Console

from sbtcodec.errors import SbtError
from sbtcodec.evaluation import document, table
from sbtcodec.evaluation.codecs import SbtCodec, load_codec
from sbtcodec.evaluation.datasets import open_dataset
from sbtcodec.evaluation.run import Job, make_jobs, measure, run_benchmark

CURVES = {
    "sbt": [(0.08, 25.0), (0.16, 28.0), (0.4, 32.0)],
    "jpeg": [(0.1, 25.0), (0.2, 28.0), (0.5, 32.0)],
}


@pytest.fixture
def folder(tmp_path):
    for name, size in {"a": (48, 64), "b": (180, 170)}.items():
        Image.fromarray(picture(*size)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_run_measures_every_image_codec_and_quality(folder):
    jobs = [
        Job(SbtCodec(StubModel()), ("globals", 60)),
        *make_jobs(["jpeg"], ["jpeg=20,90"]),
    ]
    results = run_benchmark(open_dataset(str(folder)), jobs, progress=False)
    assert [(i.name, i.width, i.height) for i in results.images] == [("a", 64, 48), ("b", 170, 180)]
    assert results.model_id == "stub-1"
    sbt, jpeg = results.codecs
    keys = [(m.image, m.quality) for m in sbt.measurements]
    assert keys == [("a", "globals"), ("a", 60), ("b", "globals"), ("b", 60)]
    first, last = jpeg.measurements[0], jpeg.measurements[-1]
    assert first.size == len(load_codec("jpeg").encode(picture(48, 64), 20))
    assert first.bpp == pytest.approx(8 * first.size / (48 * 64), abs=1e-6)
    assert math.isnan(first.ms_ssim)
    assert 0.5 < last.ms_ssim < 1
    assert all(m.encode_seconds > 0 and m.decode_seconds > 0 for m in sbt.measurements)


def test_a_codec_is_warmed_up_once_before_it_is_timed(folder):
    class Counting(StubModel):
        calls = 0

        def compress(self, image, **options):
            Counting.calls += 1
            return super().compress(image, **options)

    run_benchmark(open_dataset(str(folder)), [Job(SbtCodec(Counting()), (10,))], progress=False)
    assert Counting.calls == 3


def test_a_codec_that_changes_the_size_is_refused():
    class Cropping(StubModel):
        def decompress(self, data):
            return super().decompress(data).crop((0, 0, 10, 10))

    with pytest.raises(SbtError, match="decoded image is"):
        measure(SbtCodec(Cropping()), "a", picture(), 50)


def test_nothing_to_measure_is_refused(folder):
    with pytest.raises(SbtError, match="nothing to measure"):
        run_benchmark(open_dataset(str(folder)), [], progress=False)


def test_json_gives_back_the_same_results(tmp_path):
    results = run_of(CURVES | {"jxl": [(1.0, 40.0), (9.0, math.inf)]})
    path = tmp_path / "results.json"
    path.write_text(document.to_json(results), encoding="utf-8")
    assert document.read_results(path) == results


def test_json_has_a_line_a_measurement_and_no_number_json_does_not_know():
    results = run_of(CURVES)
    sbt = results.codecs[0]
    small = tuple(replace(m, ms_ssim=math.nan) for m in sbt.measurements)
    text = document.to_json(replace(results, codecs=(replace(sbt, measurements=small),)))
    parsed = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert parsed["codecs"][0]["measurements"][0]["ms_ssim"] is None
    assert sum('"image": "one"' in line for line in text.splitlines()) == 3
    again = document.from_json(text).codecs[0].measurements
    assert all(math.isnan(m.ms_ssim) for m in again)


def test_json_sums_up_curves_and_bd_rates():
    summary = json.loads(document.to_json(run_of(CURVES)))["summary"]
    assert [point["bpp"] for point in summary["curves"]["jpeg"]] == [0.1, 0.2, 0.5]
    assert summary["bd_rate"]["jpeg"]["psnr"]["percent"] == pytest.approx(-20)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "sbtcodec-bench/9"}', '{"schema": "sbtcodec-bench/1"}']
)
def test_another_document_is_refused(text):
    with pytest.raises(SbtError, match="schema"):
        document.from_json(text)


def test_markdown_has_bd_rates_points_and_the_machine():
    text = table.markdown_table(run_of(CURVES))
    assert "| jpeg | −20.0 % (25.0…32.0) |" in text
    assert "| sbt | 0 | 0.0800 | 25.00 |" in text
    assert "| jpeg | 0 |" not in text
    assert "A <fast> CPU, 2 cores, torch 2.13.0" in text
    assert "| jpeg | 0 | 0.1000 |" in table.markdown_table(run_of(CURVES), codecs=["jpeg"])


def test_the_terminal_shows_whole_headings_in_80_columns():
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table.rich_tables(run_of(CURVES)))
    text = console.export_text()
    assert all(heading in text for heading in table.point_headings(run_of(CURVES)))
    assert "−20.0 %" in text
    assert "…" not in text
