"""The benchmark loop: every image through every codec at every quality, measured on real bytes."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sbtcodec.errors import SbtError
from sbtcodec.evaluation import metrics
from sbtcodec.evaluation.codecs import ImageCodec, SbtCodec, load_codec
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.extras import import_extra
from sbtcodec.evaluation.machine import describe_machine, package_versions, source_commit
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.qualities import Quality, parse_qualities, quality_label
from sbtcodec.evaluation.results import CodecResults, ImageInfo, Measurement, Results
from sbtcodec.evaluation.vision import VisionMetric
from sbtcodec.rdo.effort import DEFAULT_EFFORT


@dataclass(frozen=True)
class Job:
    """A codec and the qualities to measure it at."""

    codec: ImageCodec
    qualities: tuple[Quality, ...]


def make_jobs(
    codecs: Sequence[str],
    quality_options: Iterable[str] = (),
    *,
    device: str = "cpu",
    effort: int = DEFAULT_EFFORT,
    precision: str = "auto",
) -> list[Job]:
    """Load codecs, each with its default qualities or those that `--qualities` options give it.

    Raises:
        SbtError: a codec or a quality is unknown, or what a codec needs is not there.
    """
    names = list(dict.fromkeys(codecs))
    chosen = parse_qualities(quality_options, names)
    loaded = [load_codec(name, device=device, effort=effort, precision=precision) for name in names]
    return [Job(codec, chosen.get(codec.name, codec.default_qualities)) for codec in loaded]


def run_benchmark(
    dataset: Dataset,
    jobs: Sequence[Job],
    *,
    vision: Sequence[VisionMetric] = (),
    device: str = "cpu",
    progress: bool = True,
) -> Results:
    """Measure codecs on a data set.

    Each codec first encodes and decodes one image unmeasured, so that loading, compilation and
    caches stay out of the times. Times are of one call each, pixels in memory to bytes in memory
    and back; they compare only within one run on an otherwise idle machine.

    Args:
        dataset: the images.
        jobs: at least one codec with its qualities.
        vision: further metrics to measure.
        device: where sbt was loaded, for the records.
        progress: show a bar on stderr.

    Raises:
        SbtError: a codec cannot encode an image, returns one of another size, or a package of the
            `bench` extra is missing.
    """
    if not jobs or not dataset.paths:
        msg = f"nothing to measure: {len(jobs)} codecs on {len(dataset.paths)} images"
        raise SbtError(msg)
    for module in ("pytorch_msssim", "ssimulacra2", "bjontegaard"):
        import_extra(module)  # missing ones have to be reported before the work, not after it
    date = datetime.now(UTC).isoformat(timespec="seconds")
    images: dict[str, ImageInfo] = {}
    codecs: list[CodecResults] = []
    with _progress_bar(shown=progress) as bar:
        task = bar.add_task("", total=len(dataset.paths) * sum(len(job.qualities) for job in jobs))
        for job in jobs:
            measurements: list[Measurement] = []
            for name, rgb in dataset.images():
                images[name] = ImageInfo(name, width=rgb.shape[1], height=rgb.shape[0])
                if not measurements:
                    job.codec.decode(job.codec.encode(rgb, job.qualities[0]))
                for quality in job.qualities:
                    label = f"{job.codec.name} {quality_label(quality)} {name}"
                    bar.update(task, description=label)
                    measurements.append(measure(job.codec, name, rgb, quality, vision))
                    bar.advance(task)
            codecs.append(CodecResults(job.codec.name, job.codec.settings, tuple(measurements)))
    sbt = next((job.codec for job in jobs if isinstance(job.codec, SbtCodec)), None)
    return Results(
        date=date,
        commit=source_commit(),
        dataset=dataset.name,
        images=tuple(images.values()),
        device=device,
        model_id=None if sbt is None else sbt.model_id,
        machine=describe_machine(device),
        packages=package_versions(),
        codecs=tuple(codecs),
        metrics={metric.key: metric.settings for metric in vision},
    )


def reuse(results: Results, earlier: Results) -> Results:
    """Results with the codecs that only an earlier run measured, on the same images.

    Raises:
        SbtError: the earlier run had other images, or a metric of both had other settings.
    """
    if set(earlier.images) != set(results.images):
        msg = (
            f"the earlier results are of {len(earlier.images)} images of {earlier.dataset}, this "
            f"run of {len(results.images)} of {results.dataset}; measure all codecs again"
        )
        raise SbtError(msg)
    for key in results.metrics.keys() & earlier.metrics.keys():
        if results.metrics[key] != earlier.metrics[key]:
            msg = (
                f"the earlier results have {earlier.metrics[key]!r}, this run "
                f"{results.metrics[key]!r}, which do not compare; measure all codecs again"
            )
            raise SbtError(msg)
    measured = {codec.name for codec in results.codecs}
    kept = tuple(codec for codec in earlier.codecs if codec.name not in measured)
    return replace(
        results,
        codecs=results.codecs + kept,
        metrics=earlier.metrics | results.metrics,
        published=results.published or earlier.published,
    )


def measure(
    codec: ImageCodec,
    name: str,
    rgb: Rgb,
    quality: Quality,
    vision: Sequence[VisionMetric] = (),
) -> Measurement:
    """Encode and decode one image, uint8 `[H, W, 3]`, and measure what came back.

    Metrics are rounded to 6 decimals (MS-SSIM to 7), times to the microsecond.

    Raises:
        SbtError: the decoded image has another size, or a metric's package is missing.
    """
    start = time.perf_counter()
    data = codec.encode(rgb, quality)
    encoded = time.perf_counter()
    x_hat = codec.decode(data)
    decoded = time.perf_counter()
    return Measurement(
        image=name,
        quality=quality,
        size=len(data),
        bpp=round(bits_per_pixel(len(data), rgb), 6),
        psnr=round(metrics.psnr(rgb, x_hat), 6),
        ms_ssim=round(metrics.ms_ssim(rgb, x_hat), 7),
        ssimulacra2=round(metrics.ssimulacra2(rgb, x_hat), 6),
        encode_seconds=round(encoded - start, 6),
        decode_seconds=round(decoded - encoded, 6),
        **{metric.key: round(metric.measure(rgb, x_hat), 6) for metric in vision},
    )


def bits_per_pixel(size: int, rgb: Rgb) -> float:
    """Rate of a file of `size` bytes that holds an image `[H, W, 3]`."""
    return 8 * size / float(rgb.shape[0] * rgb.shape[1])


def _progress_bar(*, shown: bool) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        disable=not shown,
    )
