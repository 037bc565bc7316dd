"""The JSON document of a benchmark run: written, and read back to the same `Results`.

Schema `sbtcodec-bench/1`; numbers are JSON numbers, except that `null` stands for a value that
cannot be measured and `"inf"` for the PSNR of a lossless file:

    schema      "sbtcodec-bench/1"
    date        ISO 8601 with time zone, start of the run
    commit      git commit of the program, "+changes" appended if its tree differed; or null
    dataset     name
    images      [{name, width, height}]                    pixels
    device      "cpu" or "cuda": where the networks of sbt ran
    model_id    identity of the weights of sbt, or null
    machine     {cpu, cores, system, python, accelerator}  accelerator is null on the CPU
    packages    {name: version}
    codecs      [{name, settings, measurements}]
      measurements  [{image, quality, size, bpp, psnr, ms_ssim, ssimulacra2, encode_seconds,
                    decode_seconds}], one a line
                    quality: a number, or "globals"; size: bytes of the file, header included;
                    bpp: 8 * size / (width * height); psnr: dB; ms_ssim: 0..1; times: seconds;
                    where asked for also cvvdp: JOD, at most 10; flip, lpips, dists: less is better
    metrics     {"cvvdp", "flip", …: settings}           absent where none was asked for
    published   [{name, description, source, bpp, psnr, ms_ssim}]  curves that others measured, one
                a line: lists of equal length, ms_ssim empty where unknown, lpips and dists where
                known; absent without any
    summary     made from the rest when writing, ignored when reading
      curves    {codec: [{quality, bpp, psnr, ms_ssim, ms_ssim_db, ssimulacra2, encode_seconds,
                decode_seconds, cvvdp, flip, …}]}        means over the images, by rate
      bd_rate   {baseline: {metric: {percent, low, high}}} of sbt (or the first codec) against
                each other codec; percent below 0: sbt needs less; low, high: range compared
      bd_rate_published  the same against published curves; absent without any
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sbtcodec.errors import SbtError
from sbtcodec.evaluation.curves import (
    VISION_METRICS,
    bd_rate,
    mean_curve,
    metrics_of,
)
from sbtcodec.evaluation.machine import Machine
from sbtcodec.evaluation.published import curve_of
from sbtcodec.evaluation.results import CodecResults, ImageInfo, Measurement, Results
from sbtcodec.evaluation.table import published_rows

SCHEMA = "sbtcodec-bench/1"

_ASKED = tuple(metric.key for metric in VISION_METRICS)
_FLOATS = ("bpp", "psnr", "ms_ssim", "ssimulacra2", "encode_seconds", "decode_seconds")


def to_json(results: Results) -> str:
    """The document of a run as text, a line for each measurement."""
    document: dict[str, Any] = {"schema": SCHEMA} | asdict(results) | {"summary": _summary(results)}
    rows: dict[str, list[str]] = {}
    for index, codec in enumerate(document["codecs"]):
        mark = f"@rows {index}@"
        rows[mark] = [json.dumps(_finite(_asked(row))) for row in codec["measurements"]]
        codec["measurements"] = mark
    # What was not asked for is left out, as it was before it could be asked for.
    if not results.metrics:
        del document["metrics"]
    if results.published:
        rows["@rows published@"] = [json.dumps(_there(row)) for row in document["published"]]
        document["published"] = "@rows published@"
    else:
        del document["published"]
    text = json.dumps(_finite(document), indent=1)
    # One line a measurement keeps the file short and its differences readable.
    for mark, lines in rows.items():
        block = ",\n    ".join(lines)
        text = text.replace(json.dumps(mark), f"[\n    {block}\n   ]", 1)
    return text + "\n"


def from_json(text: str) -> Results:
    """The run that a document records.

    Raises:
        SbtError: not JSON, another schema, or fields are missing or of the wrong kind.
    """
    try:
        document = json.loads(text)
        found = document["schema"]
        if found == SCHEMA:
            return _results(document)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"not a benchmark document of schema {SCHEMA}: {type(error).__name__}: {error}"
        raise SbtError(msg) from error
    msg = f"the benchmark document has schema {found!r}; this version reads {SCHEMA!r}"
    raise SbtError(msg)


def read_results(path: Path) -> Results:
    """Read a document that `to_json` made.

    Raises:
        SbtError: the file cannot be read, or is not such a document.
    """
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}"
        raise SbtError(msg) from error


def _results(document: dict[str, Any]) -> Results:
    return Results(
        date=document["date"],
        commit=document["commit"],
        dataset=document["dataset"],
        images=tuple(ImageInfo(**image) for image in document["images"]),
        device=document["device"],
        model_id=document["model_id"],
        machine=Machine(**document["machine"]),
        packages=dict(document["packages"]),
        codecs=tuple(
            CodecResults(
                name=codec["name"],
                settings=codec["settings"],
                measurements=tuple(_measurement(row) for row in codec["measurements"]),
            )
            for codec in document["codecs"]
        ),
        metrics=dict(document.get("metrics", {})),
        published=tuple(curve_of(row) for row in document.get("published", ())),
    )


def _measurement(row: dict[str, Any]) -> Measurement:
    present = [*_FLOATS, *(key for key in _ASKED if key in row)]
    numbers = {key: math.nan if row[key] is None else float(row[key]) for key in present}
    return Measurement(**(row | numbers))


def _asked(row: dict[str, Any]) -> dict[str, Any]:
    """A measurement without the metrics that were not asked for."""
    return {key: value for key, value in row.items() if key not in _ASKED or value is not None}


def _there(row: dict[str, Any]) -> dict[str, Any]:
    """A published curve without the learned metrics that were not published."""
    return {key: value for key, value in row.items() if key not in _ASKED or value}


def _summary(results: Results) -> dict[str, Any]:
    curves = {codec.name: mean_curve(codec) for codec in results.codecs}
    subject = curves[results.subject.name]
    summary: dict[str, Any] = {
        "curves": {
            name: [
                _known(asdict(point), results) | {"ms_ssim_db": point.ms_ssim_db}
                for point in curve.points
            ]
            for name, curve in curves.items()
        },
        "bd_rate": {
            baseline.name: {
                metric.key: asdict(bd_rate(curves[baseline.name], subject, metric))
                for metric in metrics_of(results)
            }
            for baseline in results.baselines
        },
    }
    if results.published:
        summary["bd_rate_published"] = {
            curve.name: {metric.key: asdict(rate) for metric, rate in rates}
            for curve, rates in published_rows(results)
        }
    return summary


def _known(point: dict[str, Any], results: Results) -> dict[str, Any]:
    """A point without the metrics that were not asked for."""
    return {
        key: value for key, value in point.items() if key not in _ASKED or key in results.metrics
    }


def _finite(value: Any) -> Any:  # noqa: ANN401  any JSON value
    """The value with what JSON cannot say replaced: nan by null, infinity by "inf"."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return value
