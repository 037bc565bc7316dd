"""`sbtcodec bench`: measure sbt and other codecs on a set of images."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sbtcodec.cli.bench_samples import bench_samples
from sbtcodec.cli.common.options import Precision, PrecisionOption
from sbtcodec.image.files import check_output, write_atomically
from sbtcodec.rdo.effort import DEFAULT_EFFORT


def bench(
    dataset: Annotated[str, typer.Option(help="`kodak`, or a folder of images.")] = "kodak",
    data_dir: Annotated[Path | None, typer.Option(help="Where the data set is.")] = None,
    codecs: Annotated[
        str, typer.Option(help="Comma-separated: sbt, sbt:vivid, jpeg, webp, avif, jxl.")
    ] = "sbt,jpeg,webp,avif,jxl",
    qualities: Annotated[
        list[str] | None,
        typer.Option(help="`10,50,90`, or for one codec `sbt=globals,10,50`; may be repeated."),
    ] = None,
    effort: Annotated[
        int, typer.Option(min=0, max=9, help="Effort of sbt, as in `compress`.")
    ] = DEFAULT_EFFORT,
    metrics: Annotated[
        str,
        typer.Option(
            help="Further metrics: cvvdp, flip (sbtcodec[vision]); lpips, dists"
            " (sbtcodec[perceptual])."
        ),
    ] = "",
    published: Annotated[
        str,
        typer.Option(
            help="Published curves to compare with on Kodak: vtm,hm,... or `all`; perceptual"
            " codecs are among all with --metrics lpips or dists."
        ),
    ] = "",
    samples: Annotated[
        Path | None, typer.Option(help="Folder of sampled pictures, to compare as a set.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Samples: folder of real pictures to compare with.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="Samples: fid (sbtcodec[fid]), or vgg, sbtcodec's own.")
    ] = "fid",
    inception: Annotated[
        Path | None,
        typer.Option(help="fid: torch-fidelity's weights; default: where it keeps them."),
    ] = None,
    trunk: Annotated[
        Path | None, typer.Option(help="vgg: a VGG-16 trunk, blocks 1 to 4 (safetensors).")
    ] = None,
    side: Annotated[
        int | None,
        typer.Option(min=8, metavar="N", help="Samples: cut middle squares, resize to N pixels."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Samples: where features are kept; default: DIR.features beside each."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, metavar="N", help="Samples: processes; default: 1."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N images.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all measurements as JSON.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report.")] = None,
    crops: Annotated[
        str, typer.Option(help="Comma-separated images to show in the report; default: three.")
    ] = "",
    reuse: Annotated[
        Path | None,
        typer.Option(help="Take codecs not run now from these earlier JSON results."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where sbt runs: cpu or cuda.")] = "cpu",
    precision: PrecisionOption = Precision.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not tables.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing outputs.")] = False,
) -> None:
    """Compare rate, quality and speed with other codecs.

    Every image of the data set is written as real files by every codec at every quality; bytes on
    disk, PSNR, MS-SSIM, SSIMULACRA2 and times are measured on them, and means are printed. The
    Kodak set is downloaded if DATA_DIR does not hold it. Needs the packages of sbtcodec[bench].

    sbt:vivid is sbt decoded with the model's vivid look, if it has one: the same files, and other
    pictures.

    Models of vision: cvvdp is ColorVideoVDP, in JOD (10 is identical), as seen on a 4K screen; flip
    is FLIP (0 is identical) at 67 pixels a degree. Learned from what people judged alike: lpips
    (AlexNet) and dists, 0 when identical, of pictures at their own size; weights of torchvision's
    networks have to be there, nothing is downloaded. Published curves are read, not measured, and
    stand in a table of their own: vtm, hm, av1, bpg, jpeg2000, and learned codecs such as
    bmshj2018-hyperprior, or hific and ms-illm with lpips and dists; a wrong name lists them all.

    With --samples and --reference, two folders of pictures (images and .sbt files, subfolders too)
    are compared as sets, and nothing is compressed. fid is FID by torch-fidelity, whose weights of
    Inception have to be there: nothing is downloaded. vgg is two distances of sbtcodec's own, in
    features of a VGG-16 trunk, which are no FID. Features are kept as they are computed: the same
    command goes on after Ctrl-C.

    \b
    Examples:
      sbtcodec bench --dataset kodak --out results.json --report report.html
      sbtcodec bench --dataset photos --codecs sbt,webp --qualities 30,60 --limit 4
      sbtcodec bench --codecs sbt --qualities sbt=globals,10,50 --reuse results.json
      sbtcodec bench --codecs sbt,avif --metrics cvvdp,flip --published vtm,elic2022
      sbtcodec bench --codecs sbt --effort 4 --reuse results.json --out effort4.json
      sbtcodec bench --samples sampled --reference photos --side 256 --jobs 4
      sbtcodec bench --samples sampled --reference photos --metric vgg --trunk vgg16.safetensors
    """
    if samples is not None or reference is not None:
        bench_samples(
            samples,
            reference,
            metric,
            inception=inception,
            trunk=trunk,
            side=side,
            cache=cache,
            jobs=jobs,
            limit=limit,
            out=out,
            device=device,
            precision=precision.value,
            as_json=as_json,
            force=force,
        )
        return
    from rich.console import Console

    from sbtcodec.evaluation import crops as pieces
    from sbtcodec.evaluation import datasets, document, run, table
    from sbtcodec.evaluation.codecs import load_codec
    from sbtcodec.evaluation.published import LEARNED, check_kodak, published_curves
    from sbtcodec.evaluation.report import render_report
    from sbtcodec.evaluation.vision import load_vision_metrics

    for output in filter(None, (out, report)):
        check_output(output, force=force)
    images = datasets.open_dataset(dataset, data_dir=data_dir, limit=limit)
    shown = _words(crops)
    for name in shown:
        images.path(name)  # an unknown image has to be reported before the work, not after it
    names = _words(published)
    learned = bool(set(LEARNED) & set(_words(metrics)))
    asked = () if names == ["all"] else names
    curves = published_curves(asked, learned=learned) if names else ()
    if curves:
        check_kodak(images)
    vision = load_vision_metrics(_words(metrics))
    work = run.make_jobs(
        _words(codecs), qualities or (), device=device, effort=effort, precision=precision.value
    )
    earlier = None if reuse is None else document.read_results(reuse)
    results = run.run_benchmark(images, work, vision=vision, device=device)
    results = replace(results, published=curves)
    shown_codecs = [job.codec for job in work]
    if earlier is not None:
        results = run.reuse(results, earlier)
        measured = {codec.name for codec in shown_codecs}
        others = [c.name for c in results.codecs if c.name not in measured]
        shown_codecs += [
            load_codec(name, device=device, precision=precision.value) for name in others
        ]
    if out is not None:
        write_atomically(out, document.to_json(results).encode(), force=force)
    if as_json:
        typer.echo(document.to_json(results), nl=False)
    else:
        Console().print(table.rich_tables(results))
    if report is not None:
        sheets = pieces.make_sheets(results, images, shown_codecs, images=shown)
        write_atomically(report, render_report(results, sheets).encode(), force=force)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
