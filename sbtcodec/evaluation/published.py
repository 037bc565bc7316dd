"""Rate-distortion curves on the Kodak set that others published: read, never measured here.

Most come from CompressAI, `results/image/kodak`; `published_kodak.json` has them with the commit,
and beside it lies their licence. CompressAI says that its learned codecs were scored on pixels not
rounded to 8 bits; by its later scores of rounded ones, that flatters them by 0.2 to 0.4 % of rate.
Perceptual codecs, with LPIPS and DISTS, are in `published_perceptual.json`, each with its source;
HiFiC, MS-ILLM, PerCo and RDEIC as the authors of DiffEIC measured them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sbtcodec.errors import DatasetError, SbtError
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.download import sha256_of
from sbtcodec.evaluation.kodak import KODAK_SHA256

LEARNED = ("lpips", "dists")
"""Keys of the metrics that perceptual codecs are judged by."""


@dataclass(frozen=True)
class PublishedCurve:
    """A codec's means over the 24 Kodak images, by rate, as published.

    Attributes:
        name: short name, as given to `--published`.
        description: what was measured.
        source: file, repository and commit of the numbers.
        bpp: bits per pixel, increasing.
        psnr: dB over RGB, one for each rate.
        ms_ssim: 0..1, one for each rate; empty where none was published.
        lpips: of AlexNet, one for each rate; empty where none was published.
        dists: the same of DISTS.
    """

    name: str
    description: str
    source: str
    bpp: tuple[float, ...]
    psnr: tuple[float, ...]
    ms_ssim: tuple[float, ...]
    lpips: tuple[float, ...] = ()
    dists: tuple[float, ...] = ()


def published_names() -> tuple[str, ...]:
    """Names of all published curves."""
    return tuple(_curves())


def published_curves(
    names: Sequence[str] = (), *, learned: bool = False
) -> tuple[PublishedCurve, ...]:
    """Published curves by name, in the order asked for; all of them where no name is given.

    Args:
        names: short names.
        learned: whether LPIPS or DISTS are compared. Else perceptual codecs, which give up PSNR for
            what these see, are not among all, and have to be named.

    Raises:
        SbtError: there is no curve of that name.
    """
    known = _curves()
    for name in names:
        if name not in known:
            msg = f"no published curve is called {name!r}; there are {', '.join(known)}"
            raise SbtError(msg)
    every = (name for name, curve in known.items() if learned or not curve.lpips)
    return tuple(known[name] for name in dict.fromkeys(names or every))


def check_kodak(dataset: Dataset) -> None:
    """Refuse images that published curves are not about.

    Raises:
        DatasetError: the images are not the 24 files of the Kodak set, by their SHA-256.
    """
    found = sorted(sha256_of(path) for path in dataset.paths)
    if found != sorted(KODAK_SHA256.values()):
        msg = (
            f"published curves are means over all {len(KODAK_SHA256)} Kodak images; found "
            f"{len(found)} images of {dataset.name}; measure the whole data set kodak, or leave "
            "published curves out"
        )
        raise DatasetError(msg)


@cache
def _curves() -> dict[str, PublishedCurve]:
    """All of them by name: those of CompressAI, then the perceptual ones."""
    ours, theirs = (_document(f"published_{name}.json") for name in ("kodak", "perceptual"))
    origin = f"{ours['repository'].partition(' ')[0]} {ours['commit'][:8]}"
    rows = [row | {"source": f"{row['source']} of {origin}"} for row in ours["curves"]]
    return {row["name"]: curve_of(row) for row in (*rows, *theirs["curves"])}


def curve_of(row: dict[str, Any]) -> PublishedCurve:
    """A curve of what JSON has of it: texts, and lists of numbers; those of LPIPS may be missing.

    Raises:
        KeyError, TypeError, ValueError: fields are missing, or not what they should be.
    """
    texts: dict[str, Any] = {key: row[key] for key in ("name", "description", "source")}
    keys = ("bpp", "psnr", "ms_ssim", *(key for key in LEARNED if key in row))
    lists = {key: row[key] for key in keys}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("name, description and source are to be texts")
    if not all(isinstance(values, list) for values in lists.values()):
        raise TypeError(f"{', '.join(lists)} are to be lists of numbers")
    if any(len(values) not in (0, len(row["bpp"])) for values in lists.values()):
        raise ValueError("lists of a published curve are to be of one length")
    fields = texts | {key: tuple(map(float, values)) for key, values in lists.items()}
    return PublishedCurve(**fields)


def _document(name: str) -> dict[str, Any]:
    text = files("sbtcodec.evaluation").joinpath(name).read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
