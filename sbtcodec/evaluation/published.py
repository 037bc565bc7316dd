"""Rate-distortion curves on the Kodak set that others published: read, never measured here.

They come from CompressAI, `results/image/kodak`; `published_kodak.json` has them with the commit,
and beside it lies their licence. CompressAI says that its learned codecs were scored on pixels not
rounded to 8 bits; by its later scores of rounded ones, that flatters them by 0.2 to 0.4 % of rate.
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
    """

    name: str
    description: str
    source: str
    bpp: tuple[float, ...]
    psnr: tuple[float, ...]
    ms_ssim: tuple[float, ...]


def published_names() -> tuple[str, ...]:
    """Names of all published curves."""
    return tuple(row["name"] for row in _document()["curves"])


def published_curves(names: Sequence[str] = ()) -> tuple[PublishedCurve, ...]:
    """Published curves by name, in the order asked for; all of them where no name is given.

    Raises:
        SbtError: there is no curve of that name.
    """
    document = _document()
    origin = f"{document['repository'].partition(' ')[0]} {document['commit'][:8]}"
    known = {
        row["name"]: PublishedCurve(
            name=row["name"],
            description=row["description"],
            source=f"{row['source']} of {origin}",
            bpp=tuple(row["bpp"]),
            psnr=tuple(row["psnr"]),
            ms_ssim=tuple(row["ms_ssim"]),
        )
        for row in document["curves"]
    }
    for name in names:
        if name not in known:
            msg = f"no published curve is called {name!r}; there are {', '.join(known)}"
            raise SbtError(msg)
    return tuple(known[name] for name in dict.fromkeys(names or known))


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
def _document() -> dict[str, Any]:
    text = files("sbtcodec.evaluation").joinpath("published_kodak.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
