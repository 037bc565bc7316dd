"""Rate-distortion curves: per-image values averaged at each quality, and BD-rate between curves."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sbtcodec.evaluation.extras import import_extra
from sbtcodec.evaluation.metrics import decibels
from sbtcodec.evaluation.published import LEARNED, PublishedCurve
from sbtcodec.evaluation.qualities import Quality
from sbtcodec.evaluation.results import CodecResults, Measurement, Results


@dataclass(frozen=True)
class Point:
    """One quality of a codec, averaged over the images."""

    quality: Quality
    bpp: float
    psnr: float
    ms_ssim: float
    ssimulacra2: float
    encode_seconds: float
    decode_seconds: float
    cvvdp: float = math.nan
    flip: float = math.nan
    lpips: float = math.nan
    dists: float = math.nan

    @property
    def ms_ssim_db(self) -> float:
        """The mean MS-SSIM in dB; not the mean of the dB, which published curves do not tell."""
        return decibels(self.ms_ssim)


@dataclass(frozen=True)
class Curve:
    """A codec's points in order of rate."""

    codec: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Metric:
    """A measure of quality that curves can be drawn and compared in."""

    key: str
    label: str
    unit: str
    of: Callable[[Point], float]
    digits: int = 1
    """Decimals that tell two qualities apart."""
    more_is_better: bool = True


METRICS = (
    Metric("psnr", "PSNR", "dB", lambda point: point.psnr),
    Metric("ms_ssim_db", "MS-SSIM", "dB", lambda point: point.ms_ssim_db),
    Metric("ssimulacra2", "SSIMULACRA2", "", lambda point: point.ssimulacra2),
)
"""The metrics of every table and plot."""

VISION_METRICS = (
    Metric("cvvdp", "CVVDP", "JOD", lambda point: point.cvvdp, digits=2),
    Metric("flip", "FLIP", "", lambda point: point.flip, digits=3, more_is_better=False),
    Metric("lpips", "LPIPS", "", lambda point: point.lpips, digits=3, more_is_better=False),
    Metric("dists", "DISTS", "", lambda point: point.dists, digits=3, more_is_better=False),
)
"""Those that are measured where they are asked for."""

PUBLISHED = ("psnr", "ms_ssim_db", *LEARNED)
"""Keys of those that published curves are compared in, as far as they and the run have them."""


@dataclass(frozen=True)
class BdRate:
    """Mean rate difference at equal quality, over the range of quality that both curves reach."""

    percent: float
    """Negative: the tested codec needs less; `nan` when the curves share no range."""
    low: float
    high: float
    """Worst and best quality of the shared range, in the metric's unit; `nan` without one."""


def metrics_of(results: Results) -> tuple[Metric, ...]:
    """The metrics of a run: those of every run, then those that were asked for."""
    return METRICS + tuple(metric for metric in VISION_METRICS if metric.key in results.metrics)


def published_metrics_of(results: Results) -> tuple[Metric, ...]:
    """Those of a run's metrics that published curves have, or some of them."""
    return tuple(metric for metric in metrics_of(results) if metric.key in PUBLISHED)


def mean_curve(codec: CodecResults) -> Curve:
    """Average a codec's measurements at each quality.

    An image on which a metric cannot be measured (`nan`) does not count in that metric's mean; the
    mean is `nan` only when no image can be measured.
    """
    by_quality: dict[Quality, list[Measurement]] = {}
    for measurement in codec.measurements:
        by_quality.setdefault(measurement.quality, []).append(measurement)
    points = (
        Point(
            quality=quality,
            bpp=_mean(m.bpp for m in group),
            psnr=_mean(m.psnr for m in group),
            ms_ssim=_mean(m.ms_ssim for m in group),
            ssimulacra2=_mean(m.ssimulacra2 for m in group),
            encode_seconds=_mean(m.encode_seconds for m in group),
            decode_seconds=_mean(m.decode_seconds for m in group),
            cvvdp=_mean(math.nan if m.cvvdp is None else m.cvvdp for m in group),
            flip=_mean(math.nan if m.flip is None else m.flip for m in group),
            lpips=_mean(math.nan if m.lpips is None else m.lpips for m in group),
            dists=_mean(math.nan if m.dists is None else m.dists for m in group),
        )
        for quality, group in by_quality.items()
    )
    return Curve(codec.name, tuple(sorted(points, key=lambda point: point.bpp)))


def published_curve(curve: PublishedCurve) -> Curve:
    """A published curve as one that was measured here: what was not published is `nan`."""
    unknown = math.nan
    nothing = (unknown,) * len(curve.bpp)
    others = (values or nothing for values in (curve.ms_ssim, curve.lpips, curve.dists))
    lists = (curve.bpp, curve.psnr, *others)
    return Curve(
        curve.name,
        tuple(
            Point(place, bpp, psnr, ms_ssim, unknown, unknown, unknown, lpips=lpips, dists=dists)
            for place, (bpp, psnr, ms_ssim, lpips, dists) in enumerate(zip(*lists, strict=True))
        ),
    )


def frontier(curve: Curve, metric: Metric) -> tuple[list[float], list[float]]:
    """Rates and qualities of the points worth choosing, both strictly increasing.

    Interpolation needs a function of quality, so a point that costs more than another without
    being better is left out, as are infinite and unmeasured values. The values of a metric of which
    less is better come back negated.
    """
    sign = 1 if metric.more_is_better else -1
    rates: list[float] = []
    values: list[float] = []
    # Of several points at one rate the best comes first, and the others then add nothing.
    for point in sorted(curve.points, key=lambda p: (p.bpp, -sign * metric.of(p))):
        value = sign * metric.of(point)
        if math.isfinite(value) and (not values or value > values[-1]):
            rates.append(point.bpp)
            values.append(value)
    return rates, values


def bd_rate(anchor: Curve, test: Curve, metric: Metric) -> BdRate:
    """Bjontegaard delta rate of `test` against `anchor` (package `bjontegaard`, PCHIP).

    Raises:
        SbtError: `bjontegaard` is not installed.
    """
    anchor_rates, anchor_values = frontier(anchor, metric)
    test_rates, test_values = frontier(test, metric)
    nothing = BdRate(math.nan, math.nan, math.nan)
    if min(len(anchor_values), len(test_values)) < 2:
        return nothing
    low = max(anchor_values[0], test_values[0])
    high = min(anchor_values[-1], test_values[-1])
    if low >= high:
        return nothing
    percent = import_extra("bjontegaard").bd_rate(
        anchor_rates,
        anchor_values,
        test_rates,
        test_values,
        method="pchip",
        require_matching_points=False,
        min_overlap=0,
    )
    sign = 1 if metric.more_is_better else -1
    return BdRate(float(percent), sign * low, sign * high)


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
