"""Pictures of both looks: beside the original and AVIF of no more bytes, or blind.

    python -m benchmarks.look_sheets compared --data-dir FOLDER --show NAME ... --out SHEET.webp
    python -m benchmarks.look_sheets blind --data-dir FOLDER --quality globals --out SHEET.webp

`blind` shows pairs in an order drawn at random, and writes which is which beside the sheet, to
SHEET.key.txt: to be read after the verdicts.
"""

import argparse
import random
import sys
from pathlib import Path

from benchmarks.base_layer import middle
from benchmarks.output import add_options, check, dataset_of, webp_of
from benchmarks.rivals import Shrunk, avif_container
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.codecs import SbtCodec, load_codec
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.qualities import GLOBALS, parse_quality
from sbtcodec.image.comparison import side_by_side
from sbtcodec.image.files import write_atomically

SIDE = 256  # of the part of a picture that is shown
PAIRS = 4  # side by side on a blind sheet
QUALITY = 80  # of the WebP file of a sheet


def compared(codec: Codec, dataset: Dataset, names: list[str], quality: str) -> Rgb:
    """A row for each picture: the original, both looks, and AVIF of no more bytes."""
    avif, faithful, vivid = load_codec("avif"), SbtCodec(codec), SbtCodec(codec, realism=1)
    panels: list[tuple[Rgb, str]] = []
    for name in names:
        rgb = dataset.image(name)
        data = faithful.encode(rgb, parse_quality(quality))
        rival = Shrunk(avif, rgb).best(len(data), avif_container, free=True)
        every = [
            (rgb, "original"),
            (faithful.decode(data), f"faithful, {len(data)} bytes"),
            (vivid.decode(data), f"vivid, {len(data)} bytes"),
            (rival.rgb, f"AVIF, {rival.size} bytes"),
        ]
        panels += [(middle(picture, SIDE), caption) for picture, caption in every]
    return side_by_side(panels, columns=4)


def blind(codec: Codec, dataset: Dataset, quality: str, seed: int) -> tuple[Rgb, str]:
    """Pairs of both looks in an order drawn at random, and the key."""
    drawn, faithful, vivid = random.Random(seed), SbtCodec(codec), SbtCodec(codec, realism=1)
    panels: list[tuple[Rgb, str]] = []
    key = [f"model {codec.model_id}, quality {quality}, seed {seed}: which of A and B is vivid"]
    for index, (name, rgb) in enumerate(dataset.images(), 1):
        data = faithful.encode(rgb, parse_quality(quality))
        first = drawn.random() < 0.5
        for letter, is_vivid in zip("AB", (first, not first), strict=True):
            picture = (vivid if is_vivid else faithful).decode(data)
            panels.append((middle(picture, SIDE), f"{index} {letter}"))
        key.append(f"{index} {name}: {'A' if first else 'B'}")
    return side_by_side(panels, columns=2 * PAIRS), "\n".join(key)


def main() -> None:
    """Write a sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("compared", "blind"))
    add_options(parser)
    parser.add_argument("--quality", default=GLOBALS, help="0 to 100, or globals")
    parser.add_argument("--show", nargs="+", default=[], help="images of a sheet to compare by")
    parser.add_argument("--seed", type=int, default=1, help="of the order of a blind sheet")
    a = parser.parse_args()
    if a.out is None:
        parser.error("--out is missing")
    try:
        key = Path(f"{a.out.with_suffix('')}.key.txt")
        for path in (a.out, key):
            check(path, force=a.force)
        dataset, codec = dataset_of(a.data_dir, a.limit), Codec.load("cpu")
        if a.kind == "compared":
            names = a.show or list(dataset.image_names[:2])
            sheet = compared(codec, dataset, names, a.quality)
        else:
            sheet, text = blind(codec, dataset, a.quality, a.seed)
            write_atomically(key, f"{text}\n".encode(), force=a.force)
        write_atomically(a.out, webp_of(sheet, QUALITY), force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
