"""Weaves and grids in decoded pictures: hills of spectra that photographs do not have.

    python -m benchmarks.spectra --data-dir FOLDER [--limit N] [--out TABLE]

Files of global tokens alone and of qualities 10, 30 and 50, shown faithfully and vividly.
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.output import add_options, check, dataset_of, heading, paragraph, publish, table
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.codecs import SbtCodec
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.evaluation.qualities import GLOBALS, parse_quality
from sbtcodec.training.spectrum_losses import ALLOWED, BANDS, carrier_traces

RATES = (GLOBALS, "10", "30", "50")
LOOKS = {"faithful": 0.0, "vivid": 1.0}
SIDE = 256  # pixels of the squares whose spectra are taken


def squares(x: Rgb, x_hat: Rgb) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Squares float [1, 3, SIDE, SIDE] in 0..1 side by side, of both pictures."""
    height, width = x.shape[:2]
    for top in range(0, height - SIDE + 1, SIDE):
        for left in range(0, width - SIDE + 1, SIDE):
            at = slice(top, top + SIDE), slice(left, left + SIDE)
            original, made = (
                torch.tensor(rgb[at]).permute(2, 0, 1)[None].float() / 255 for rgb in (x, x_hat)
            )
            yield original, made


def traces(x: Rgb, x_hat: Rgb) -> list[float]:
    """`carrier_traces` of each square of a picture against the photograph."""
    return [float(carrier_traces(made, original)) for original, made in squares(x, x_hat)]


def run(codec: Codec, dataset: Dataset) -> str:
    """The table."""
    found: dict[tuple[str, str], list[float]] = {(r, k): [] for r in RATES for k in LOOKS}
    mirrored: list[float] = []
    for _, rgb in tqdm(dataset.images(), total=len(dataset.paths), disable=None):
        mirrored += traces(rgb, np.ascontiguousarray(rgb[:, ::-1]))
        for rate in RATES:
            data = SbtCodec(codec).encode(rgb, parse_quality(rate))
            for name, realism in LOOKS.items():
                found[rate, name] += traces(rgb, SbtCodec(codec, realism=realism).decode(data))
    if not mirrored:
        raise SbtError(f"{dataset.name} has no image of {SIDE}x{SIDE} pixels; give larger ones")
    rows = [
        [rate, *(f"{1000 * np.mean(found[rate, name]):.1f}" for name in LOOKS)] for rate in RATES
    ]
    notes = f"""
        Means over {len(mirrored)} squares of {SIDE} pixels, in thousandths: squares of how far the
        logarithm of the power of a band, of {BANDS} x {BANDS}, exceeds those around it, beyond
        {ALLOWED:g} and beyond what the photograph has there. A pattern of one frequency, as a grid
        or a weave is, makes a hill. Photographs against their mirror images have
        {1000 * np.mean(mirrored):.1f}. The vivid look was trained by it.
    """
    return "\n\n".join(
        [heading(dataset, codec), table(["quality", *LOOKS], rows), paragraph(notes)]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    a = parser.parse_args()
    try:
        check(a.out, force=a.force)
        publish(run(Codec.load("cpu"), dataset_of(a.data_dir, a.limit)), a.out, force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
