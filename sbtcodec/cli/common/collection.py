"""Compressing a collection with a Ray cluster: what `compress --engine ray` does."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sbtcodec.cli.common.advice import with_options
from sbtcodec.cli.common.compression import size_notices
from sbtcodec.cli.common.encoding import FileEncoder, verified_note
from sbtcodec.cli.common.report import Screen, number, to_json
from sbtcodec.cli.common.summary import Summary
from sbtcodec.limits import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from sbtcodec.collection.manifest import Entry
    from sbtcodec.collection.plan import Plan

LOCAL = "local"


def ray_address(engine: str) -> str | None:
    """Return the address in `ray:ADDRESS`; None for `ray`, a Ray of this machine alone.

    Raises `typer.BadParameter` for anything else.
    """
    name, colon, address = engine.partition(":")
    if name != "ray" or (colon and not address):
        raise typer.BadParameter(
            f"unknown engine {engine!r}; use {LOCAL}, ray or ray:ADDRESS", param_hint="--engine"
        )
    return address or None


def collection_folder(output: str | None, out_dir: Path | None) -> str:
    """Return the folder of a collection, of the options `--output` (also URIs) and `--out-dir`.

    Raises `typer.BadParameter` if there is not one of them, or a URI has become a path.
    """
    if (output is None) == (out_dir is None):
        raise typer.BadParameter("give the folder or URI to write to", param_hint="--output")
    if output is not None:
        return output
    if ":" in str(out_dir):  # of which a path has lost a slash
        raise typer.BadParameter("it takes no URIs; give them to --output", param_hint="--out-dir")
    return str(out_dir)


def run_collection(
    sources: Sequence[str],
    out: str,
    *,
    engine: str,
    encoder: FileEncoder,
    device: str,
    precision: str = "auto",
    strip: bool = False,
    workers: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    force: bool = False,
    skip_existing: bool = False,
    keep_extension: bool = False,
    json: bool = False,
    quiet: bool = False,
    weights: Path | None = None,
) -> None:
    """Compress collections into a folder with a manifest, and print what a batch prints.

    Args:
        sources: folders, patterns or images; local paths or URIs.
        out: folder of the collection, a local path or URI.
        engine: `ray` or `ray:ADDRESS`.
        encoder: how each file is made.
        device: "auto", "cpu" or "cuda".
        precision: see `Codec.load`.
        strip: leave out metadata.
        workers: how many; as many as fit if not given.
        max_pixels: of an image.
        force: make the collection anew.
        skip_existing: keep outputs that are in no manifest.
        keep_extension: give outputs the name of their image with `.sbt` behind it.
        json: print a JSON object for each image.
        quiet: print only failures.
        weights: folder with a manifest of models, instead of the installed one.

    Raises:
        typer.BadParameter: the engine is unknown.
        typer.Exit: images failed, or the run was interrupted; with the exit code of a batch.
        SbtError: nothing can be done.
    """
    address = ray_address(engine)
    from sbtcodec.collection.extra import require

    for module in ("fsspec", "pyarrow", "ray"):  # the last takes longest
        require(module)
    from sbtcodec.collection.engine import run
    from sbtcodec.collection.manifest import Settings
    from sbtcodec.collection.plan import make_plan
    from sbtcodec.models.release import load_release

    start = time.perf_counter()
    summary = Summary()
    release = load_release(folder=weights)
    rate_target = encoder.rate_target
    settings = Settings(
        rate_target.quality,
        rate_target.globals_only,
        release.model_id,
        rate_target.effort,
        strip,
        rate_target.search,
        rate_target.keep_invisible,
        encoder.look,
    )
    plan = make_plan(
        sources,
        out,
        settings,
        force=force,
        skip_existing=skip_existing,
        keep_extension=keep_extension,
    )
    summary.skipped = plan.recorded
    with _screen(plan) as screen:

        def report(entry: "Entry") -> None:
            _tell(plan, entry, summary, screen, json=json, quiet=quiet)

        try:
            run(
                plan,
                report,
                encoder,
                address=address,
                device=device,
                precision=precision,
                workers=workers,
                max_pixels=max_pixels,
                weights=weights,
            )
        except KeyboardInterrupt:
            summary.interrupted = True
        summary.seconds = time.perf_counter() - start
        summary.print(screen, json=json, quiet=quiet, listed=True)
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def _screen(plan: "Plan") -> Screen:
    sizes = [item.size for item in plan.items] + [entry.source_bytes for entry in plan.decided]
    return Screen(len(sizes), sum(max(size, 0) for size in sizes))


def _tell(
    plan: "Plan", entry: "Entry", summary: Summary, screen: Screen, *, json: bool, quiet: bool
) -> None:
    """Count and print what came of an image."""
    output = plan.out.below(entry.path).name
    fields: dict[str, Any] = {"input": entry.source, "output": output, "state": entry.status}
    pixels = (entry.width or 0) * (entry.height or 0)
    line = f"{output}  exists already, kept"
    notices = entry.notices.split("; ") if entry.notices else []
    if entry.status == "failed":
        sentence = with_options(entry.error or "")
        summary.failures.append((sentence, entry.exit_code))
        fields |= {"error": sentence, "exit_code": entry.exit_code}
    elif entry.status == "skipped":
        summary.skipped += 1
    else:
        notices += size_notices(entry.source_bytes, entry.bytes or 0)
        size, bpp, seconds = entry.bytes or 0, entry.bpp or 0.0, entry.seconds or 0.0
        summary.add(max(entry.source_bytes, 0), size, size, pixels)
        line = (
            f"{output}  {number(size)} bytes  {bpp:.3f} bpp"
            f"  of {number(entry.source_bytes)}  {seconds:.2f} s"
        )
        fields |= {
            "bytes": size,
            "bpp": round(bpp, 6),
            "width": entry.width,
            "height": entry.height,
            "quality": entry.quality,
            "globals_only": entry.quality is None,
            "seconds": round(seconds, 3),
            "notices": notices,
        }
        if plan.settings.search and entry.quality is not None:
            line += f"  quality {entry.quality:.1f}"
        if entry.psnr is not None:
            fields["psnr"] = entry.psnr
            line += verified_note(entry.psnr)
    if notices:
        screen.warn(entry.source, "; ".join(notices))
    if json:
        screen.out(to_json(fields))
    elif not quiet and entry.status != "failed":
        screen.out(line)
    screen.advance(max(entry.source_bytes, 0), pixels)
