"""What `sbtcodec bench --samples` does: compare a folder of sampled pictures with real ones."""

from pathlib import Path

import typer

from sbtcodec.cli.common.advice import with_options
from sbtcodec.cli.common.outputs import usage_error
from sbtcodec.cli.common.report import printable, tell
from sbtcodec.image.files import check_output, write_atomically

METRICS = ("fid", "vgg")


def bench_samples(
    samples: Path | None,
    reference: Path | None,
    metric: str,
    *,
    inception: Path | None,
    trunk: Path | None,
    side: int | None,
    cache: Path | None,
    jobs: int | None,
    limit: int | None,
    out: Path | None,
    device: str,
    precision: str,
    as_json: bool,
    force: bool,
) -> None:
    """Measure and print; the arguments are the options of `bench`.

    Raises:
        typer.BadParameter: an option is missing or wrong.
        SbtError: see `sample_distance`; `OutputError` if `out` cannot be written.
    """
    if samples is None or reference is None:
        raise usage_error("--samples and --reference are compared; give both")
    if metric not in METRICS:
        raise typer.BadParameter(
            f"found {metric!r}, expected {' or '.join(METRICS)}", param_hint="'--metric'"
        )
    if metric == "vgg" and trunk is None:
        raise typer.BadParameter("--metric vgg takes a VGG-16 trunk; give --trunk PATH")
    if out is not None:
        check_output(out, force=force)
    from sbtcodec.evaluation.preparation import Preparation
    from sbtcodec.evaluation.sample_distance import sample_distance

    found = sample_distance(
        samples,
        reference,
        metric,
        weights=inception if metric == "fid" else trunk,
        preparation=Preparation(side, device, precision),
        cache_folder=cache,
        jobs=jobs or 1,
        limit=limit,
        device=device,
    )
    for notice in found.notices:
        tell(f"warning: {with_options(notice)}")
    if out is not None:
        write_atomically(out, found.to_json().encode(), force=force)
    if as_json:
        typer.echo(found.to_json(), nl=False)
    else:
        for line in found.lines():
            print(printable(line))
