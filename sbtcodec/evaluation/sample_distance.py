"""How far the pictures of a folder, sampled ones say, are from those of another: measured and told.

JSON is of the schema `sbtcodec-samples/1`:

    schema      "sbtcodec-samples/1"
    date        ISO 8601 with time zone, start of the run
    commit      git commit of the program, "+changes" appended if its tree differed; or null
    metric      "fid" or "vgg"
    values      {"fid"} or {"vgg_frechet", "vgg_kernel"}: numbers, less is nearer
    samples     {folder, pictures, width, height}  width, height: [least, most] in pixels, as found
    reference   the same of the folder to compare with
    network     what gave features: package, version, weights, how pictures are resized by it
    preparation how pictures were cut and resized before
    device      "cpu" or "cuda"
    notices     what to know before comparing the numbers, a sentence each
    machine     {cpu, cores, system, python, accelerator}
    packages    {name: version}
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sbtcodec.errors import ArgumentError, ImageError
from sbtcodec.evaluation.distribution import (
    COMPONENTS,
    VggNetwork,
    frechet_distance,
    kernel_distance,
)
from sbtcodec.evaluation.inception import DIGEST, Inception, inception, inception_distance
from sbtcodec.evaluation.machine import Machine, describe_machine, package_versions, source_commit
from sbtcodec.evaluation.preparation import Preparation
from sbtcodec.evaluation.samples import Sampled, pictures_in, sampled

SCHEMA = "sbtcodec-samples/1"

METRICS = ("fid", "vgg")

LABELS = {
    "fid": "FID",
    "vgg_frechet": f"VGG Frechet distance ({COMPONENTS} components)",
    "vgg_kernel": "VGG kernel distance",
}
"""Names of the values, for people."""

FEW = 10_000
"""Pictures below which an FID is too large by more than samplers differ."""


@dataclass(frozen=True)
class Folder:
    """A set of pictures.

    Attributes:
        folder: where they are.
        pictures: how many.
        width: the least and the most, in pixels, before they were cut.
        height: the same.
    """

    folder: str
    pictures: int
    width: tuple[int, int]
    height: tuple[int, int]

    def __str__(self) -> str:
        """A line for people."""
        least, most = (
            "x".join(map(str, side)) for side in zip(self.width, self.height, strict=True)
        )
        size = least if least == most else f"{least} to {most}"
        return f"{self.folder}, {self.pictures} pictures, {size} pixels"


@dataclass(frozen=True)
class SampleDistance:
    """Distances of two sets of pictures, with what is needed to repeat or to doubt them.

    Attributes are those of the schema, see above.
    """

    date: str
    commit: str | None
    metric: str
    values: dict[str, float]
    samples: Folder
    reference: Folder
    network: str
    preparation: str
    device: str
    notices: tuple[str, ...]
    machine: Machine
    packages: dict[str, str]

    def to_json(self) -> str:
        """The document, as text."""
        return json.dumps({"schema": SCHEMA} | asdict(self), indent=1) + "\n"

    def lines(self) -> list[str]:
        """The same in short, for people."""
        return [
            *(f"{LABELS[name]}: {value:.6g}" for name, value in self.values.items()),
            f"samples: {self.samples}",
            f"reference: {self.reference}",
            f"features: {self.network}",
            f"before: {self.preparation}",
        ]


def sample_distance(
    samples: Path,
    reference: Path,
    metric: str,
    *,
    weights: Path | None = None,
    preparation: Preparation | None = None,
    cache_folder: Path | None = None,
    jobs: int = 1,
    limit: int | None = None,
    device: str = "cpu",
) -> SampleDistance:
    """Measure how far the pictures of a folder are from those of another.

    Args:
        samples: folder of the pictures to judge, see `pictures_in`.
        reference: folder of those to judge by.
        metric: `fid`, or `vgg`: distances in features of a VGG-16 trunk, which are sbtcodec's own.
        weights: for `fid` torch-fidelity's of Inception (see `inception`), for `vgg` the trunk.
        preparation: how pictures are cut and resized; as they are if not given.
        cache_folder: see `sampled`, for both folders.
        jobs: see `sampled`.
        limit: only the first so many pictures of each folder.
        device: where the network runs, `cpu` or `cuda`.

    Raises:
        ArgumentError: the metric is not one of these, or `vgg` has no trunk.
        DatasetError: a folder holds no pictures, or one cannot be read.
        ImageError: there are too few pictures.
        SbtError: of other kinds, for packages, weights, the codec and the folder of features.
    """
    date = datetime.now(UTC).isoformat(timespec="seconds")
    network, measure, least = _metric(metric, weights, device)
    # what can be refused is refused before hours of work
    for folder in (samples, reference):
        if (count := len(pictures_in(folder, limit))) < least:
            raise ImageError(
                f"{folder} has {count} pictures, expected {least} or more for {metric}; "
                "add pictures"
            )
    prepared = preparation or Preparation()
    sets = [
        sampled(folder, network, prepared, cache_folder=cache_folder, jobs=jobs, limit=limit)
        for folder in (samples, reference)
    ]
    return SampleDistance(
        date=date,
        commit=source_commit(),
        metric=metric,
        values=measure(*sets),
        samples=_described(sets[0]),
        reference=_described(sets[1]),
        network=network.description,
        preparation=prepared.description,
        device=device,
        notices=tuple(_notices(network, prepared, *map(_described, sets))),
        machine=describe_machine(device),
        packages=package_versions(),
    )


def _metric(
    name: str, weights: Path | None, device: str
) -> tuple[Inception | VggNetwork, Callable[[Sampled, Sampled], dict[str, float]], int]:
    """Network, distances of two sets, and the least number of pictures of a set."""
    if name == "fid":
        return inception(weights, device), _fid, 2
    if name != "vgg":
        raise ArgumentError(f"no metric of samples is called {name!r}; there are fid and vgg")
    if weights is None:
        raise ArgumentError(
            "the metric vgg takes a VGG-16 trunk, a safetensors file; pass trunk=PATH"
        )
    network = VggNetwork(weights, device)
    _ = network.digest  # is there a file,
    network.load()  # and is it one?
    return network, _vgg, COMPONENTS + 1


def _fid(samples: Sampled, reference: Sampled) -> dict[str, float]:
    return {"fid": inception_distance(samples.features, reference.features)}


def _vgg(samples: Sampled, reference: Sampled) -> dict[str, float]:
    a, b = samples.features.astype(float), reference.features.astype(float)
    return {"vgg_frechet": frechet_distance(a, b), "vgg_kernel": kernel_distance(a, b)}


def _described(found: Sampled) -> Folder:
    (width, height), (widest, highest) = found.sizes.min(0).tolist(), found.sizes.max(0).tolist()
    return Folder(str(found.folder), len(found.sizes), (width, widest), (height, highest))


def _notices(
    network: Inception | VggNetwork, preparation: Preparation, samples: Folder, reference: Folder
) -> list[str]:
    notices = []
    if isinstance(network, Inception):
        if not network.is_known:
            notices.append(
                f"the weights are not those of FID (their SHA-256 begins {network.digest[:8]}, "
                f"expected {DIGEST}): this number is no FID"
            )
        if (fewest := min(samples.pictures, reference.pictures)) < FEW:
            notices.append(
                f"FID of {fewest} pictures is larger than that of many, which is usually of 50000: "
                "compare it only with an FID of as many"
            )
    sizes = {samples.width, samples.height, reference.width, reference.height}
    if preparation.side is None and (len(sizes) > 1 or any(a != b for a, b in sizes)):
        notices.append(
            "pictures are not all squares of one size, and resizing counts; "
            "pass side=N for middle squares of N pixels"
        )
    return notices
