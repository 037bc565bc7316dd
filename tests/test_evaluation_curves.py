"""Curves and BD-rate: known answers on made-up curves."""

import math
from dataclasses import replace

import pytest
from evaluation_samples import run_of

from sbtcodec.evaluation.curves import METRICS, bd_rate, frontier, mean_curve
from sbtcodec.evaluation.results import CodecResults

PSNR, MS_SSIM_DB, SSIMULACRA2 = METRICS
PAIRS = [(0.1, 25.0), (0.2, 28.0), (0.5, 32.0), (1.0, 35.5)]


def curve_of(pairs, name="sbt"):
    return mean_curve(run_of({name: pairs}).codecs[0])


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
@pytest.mark.parametrize("scale", [0.8, 1.0, 1.5])
def test_bd_rate_of_a_curve_with_scaled_rates_is_the_scale(metric, scale):
    scaled = curve_of([(bpp * scale, psnr) for bpp, psnr in PAIRS])
    rate = bd_rate(curve_of(PAIRS), scaled, metric)
    assert rate.percent == pytest.approx(100 * (scale - 1), abs=1e-6)
    assert (rate.low, rate.high) == pytest.approx(
        (metric.of(scaled.points[0]), metric.of(scaled.points[-1]))
    )


def test_bd_rate_covers_only_the_range_that_both_reach():
    rate = bd_rate(curve_of(PAIRS[1:]), curve_of([(0.08, 25.0), (0.4, 32.0)]), PSNR)
    assert (rate.low, rate.high) == (28.0, 32.0)


def test_bd_rate_is_not_a_number_without_a_common_range():
    low, high = curve_of(PAIRS[:2]), curve_of(PAIRS[2:])
    assert math.isnan(bd_rate(low, high, PSNR).percent)
    assert math.isnan(bd_rate(low, curve_of(PAIRS[:1]), PSNR).percent)


def test_a_point_that_costs_more_without_being_better_changes_nothing():
    worse = curve_of([*PAIRS, (0.3, 27.0), (0.2, 20.0), (0.7, 32.0)])
    assert frontier(worse, PSNR) == ([0.1, 0.2, 0.5, 1.0], [25.0, 28.0, 32.0, 35.5])
    assert bd_rate(curve_of(PAIRS), worse, PSNR).percent == pytest.approx(0, abs=1e-9)


def test_lossless_and_unmeasured_points_are_left_out_of_the_frontier():
    curve = curve_of([*PAIRS, (4.0, math.inf), (5.0, math.nan)])
    assert frontier(curve, PSNR)[1] == [25.0, 28.0, 32.0, 35.5]


def test_a_curve_averages_the_images_at_each_quality():
    one = run_of({"sbt": PAIRS}).codecs[0]
    other = tuple(
        replace(m, image="two", bpp=m.bpp * 3, psnr=m.psnr + 2, ms_ssim=math.nan)
        for m in one.measurements
    )
    points = mean_curve(CodecResults("sbt", "", one.measurements + other)).points
    assert [p.bpp for p in points] == pytest.approx([2 * bpp for bpp, _ in PAIRS])
    assert [p.psnr for p in points] == pytest.approx([psnr + 1 for _, psnr in PAIRS])
    # An image too small for MS-SSIM does not count in its mean.
    assert [p.ms_ssim for p in points] == pytest.approx([m.ms_ssim for m in one.measurements])


def test_ms_ssim_in_db_is_that_of_the_mean():
    point = curve_of([(0.1, 20.0)]).points[0]
    assert point.ms_ssim == pytest.approx(0.9)
    assert MS_SSIM_DB.of(point) == pytest.approx(10)
