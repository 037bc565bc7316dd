"""What predicting local tokens from global ones is worth: in pictures, and in bits.

    python -m benchmarks.bootstrap --data-dir FOLDER [--out TABLE]

prints two tables over the images of FOLDER: pictures that one decoder makes of different local
tokens, and ideal bits of the detail symbols with and without the prediction.
Letters: C channels of a local token, N latents of all images, H W rows and columns of one image's.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from benchmarks.ideal_rate import detail_bits
from benchmarks.ideal_rate import measure as measure_rate
from benchmarks.inside import Inside, by_channel, recording
from benchmarks.output import add_options, check, dataset_of, heading, paragraph, publish, table
from benchmarks.predictions import Photo, channel_means, linear_predictions, photo_of
from sbtcodec.codec.codec import Codec
from sbtcodec.container import unpack
from sbtcodec.entropy.coder import Symbols
from sbtcodec.errors import SbtError
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.metrics import ms_ssim, psnr
from sbtcodec.evaluation.table import number

QUALITIES = (10, 30, 50, 70, 90)
BEST = 255  # quality code
SMALLEST = 2.0**-24  # probability below which no symbol is counted, as in the coder


def picture_rows(codec: Codec, inside: Inside, photos: Sequence[Photo]) -> list[list[str]]:
    """The first table: PSNR and MS-SSIM of pictures from different local tokens."""
    means = channel_means(photos)
    every: list[list[tuple[float, float]]] = []
    linear_maps = linear_predictions(photos)
    for photo, linear in zip(tqdm(photos, desc="pictures", disable=None), linear_maps, strict=True):
        size, layers = photo.rgb.shape[:2], inside.tokenizer.config.layers
        nothing = torch.zeros_like(photo.y)
        pictures = [
            codec.decode(codec.compress(photo.rgb, globals_only=True)).rgb,
            inside.picture(linear, size, 0, 0),
            inside.picture(nothing + means, size, 0, 0),
            inside.picture(nothing, size, 0, 0),
            inside.picture(inside.sent(photo.y, photo.z, BEST), size, BEST, layers),
        ]
        every.append([(psnr(photo.rgb, x), ms_ssim(photo.rgb, x)) for x in pictures])
    names = (
        "predicted from the global tokens: what the codec does",
        "the best linear map of 3x3 global tokens, fitted on these images",
        "none: every channel at its mean over these images",
        "none: zeros",
        "the encoder's own, unquantised: the ceiling of all qualities",
    )
    means_of = np.mean(every, 0)
    return [
        [name, number(db, 2), number(similarity, 4)]
        for name, (db, similarity) in zip(names, means_of, strict=True)
    ]


@dataclass(frozen=True)
class Bits:
    """Ideal bits of detail symbols, all images together, and the mean PSNR in dB.

    Attributes:
        normal: under one zero-mean normal for each channel, of the scale that suits it best; for
            the codec itself, under the tables that its network picks.
        any: under one distribution of any form for each channel, that which suits it best.
        psnr: mean over the images of what is decoded.
    """

    normal: float
    any: float
    psnr: float


def fixed_bits(q: Symbols) -> tuple[float, float]:
    """Ideal bits of symbols [N, C] under one distribution for each channel, fitted to them.

    Returns:
        Under the best zero-mean normal, and under the best distribution of any form.
    """
    m = int(np.abs(q).max(initial=0))
    signed = np.stack([np.bincount(column + m, minlength=2 * m + 1) for column in q.T])
    magnitudes = signed[:, m:].astype(np.float64)
    magnitudes[:, 1:] += signed[:, :m][:, ::-1]
    scale = torch.from_numpy(np.geomspace(0.05, max(1, 2 * m), 400))[:, None]
    at = torch.arange(m + 1, dtype=torch.float64)
    # from the lower tail, where small probabilities keep their digits
    probability = torch.special.ndtr((0.5 - at) / scale) - torch.special.ndtr((-0.5 - at) / scale)
    cost = -torch.log2(probability.clamp_min(SMALLEST)).numpy()
    share = signed / max(1, len(q))
    entropy = -np.sum(share * np.log2(share, where=share > 0, out=np.zeros_like(share)))
    return float((magnitudes @ cost.T).min(1).sum()), float(entropy * len(q))


def _latents(t: Tensor) -> NDArray[np.float32]:
    return t[0].flatten(1).T.cpu().numpy()  # [H * W, C]


def codings(
    codec: Codec, inside: Inside, photos: Sequence[Photo], quality: float
) -> tuple[Bits, Bits, Bits, Bits]:
    """Bits at one quality: of the codec, then what is left when its parts are taken away.

    The codec; its prediction with fixed scales; the prediction from global tokens alone, which what
    is sent does not refine, with fixed scales; each channel's mean, with fixed scales.
    """
    config, means = inside.tokenizer.config, channel_means(photos)
    bits, db = 0.0, []
    symbols: list[list[Symbols]] = [[], [], []]
    for photo in photos:
        coding = codec.code(codec.analyse(photo.rgb), quality)
        data = coding.data
        with recording() as calls:
            decoded = codec.decode(data)
        bits += sum(detail_bits(codec.release.tables, *call) for call in calls)
        latents = photo.y.shape[2] * photo.y.shape[3]
        symbols[0].append(by_channel(calls, decoded.layers, config.groups, latents))
        ratios = [psnr(photo.rgb, decoded.rgb)]
        code = unpack(data).header.quality
        gains = codec.release.gains(code)[None, :, None, None].to(photo.y.device)
        z = inside.values(coding.levels)
        y = inside.sent(photo.y, z, code)
        for place, base in ((1, inside.predicted(z)), (2, means)):
            q = ((y - base) * gains).round()
            symbols[place].append(_latents(q).astype(np.int32))
            x_hat = inside.picture(base + q / gains, photo.rgb.shape[:2], code, config.layers)
            ratios.append(psnr(photo.rgb, x_hat))
        db.append(ratios)
    refined, predicted, none = (fixed_bits(np.concatenate(q)) for q in symbols)
    codec_db, predicted_db, none_db = (float(x) for x in np.mean(db, 0))
    return (
        Bits(bits, bits, codec_db),
        Bits(*refined, codec_db),
        Bits(*predicted, predicted_db),
        Bits(*none, none_db),
    )


CODINGS = (
    "refined prediction, predicted scales: the codec",
    "refined prediction, fixed scales",
    "prediction from the global tokens alone, fixed scales",
    "no prediction, fixed scales",
)


def bit_rows(found: Sequence[Bits], base_bits: float, pixels: int, quality: int) -> list[list[str]]:
    """The second table's rows for one quality.

    Args:
        found: one for each of CODINGS.
        base_bits: of the global tokens, which no prediction could do without.
        pixels: of all images.
        quality: for the first column.
    """
    ours = found[0].normal
    rows = []
    for place, (name, one) in enumerate(zip(CODINGS, found, strict=True)):
        base = 0.0 if place == len(found) - 1 else base_bits
        rows.append(
            [
                f"{quality}  {name}",
                f"{one.normal / pixels:.4f}",
                *(
                    "" if place == 0 else number(100 * (1 - part / whole), 1) if whole else "–"
                    for part, whole in (
                        (ours, one.normal),
                        (ours, one.any),
                        (ours + base_bits, one.normal + base),
                    )
                ),
                number(one.psnr, 2),
            ]
        )
    return rows


def sections(codec: Codec, dataset: Dataset, qualities: Sequence[int]) -> Iterator[str]:
    """The text of the benchmark, part by part."""
    yield heading(dataset, codec)
    inside = Inside(codec)
    photos = [photo_of(inside, rgb) for _, rgb in dataset.images()]
    rates = [measure_rate(codec, photo.rgb, None) for photo in photos]
    size, ideal, _ = np.mean(rates, 0)
    shown = table(["local tokens", "PSNR dB", "MS-SSIM"], picture_rows(codec, inside, photos))
    notes = f"""
        The same decoder given different local tokens. The first two rows use the global tokens,
        {size:.1f} bytes an image in a file; the linear map was fitted to the encoder's local tokens
        of these very images, so with few images it shows more than it could predict. The decoder is
        told that no details arrived, and for the ceiling that all did, at quality 100.
    """
    yield shown + "\n" + paragraph(notes)
    rows = []
    pixels = sum(p.rgb.shape[0] * p.rgb.shape[1] for p in photos)
    base_bits = 8 * ideal * len(photos)
    for quality in tqdm(qualities, desc="bits", disable=None):
        found = codings(codec, inside, photos, quality)
        rows += bit_rows(found, base_bits, pixels, quality)
    headings = ["quality, coding", "bpp", "saved %", "of any %", "net %", "PSNR dB"]
    notes = f"""
        Ideal bits of the detail symbols at equal step sizes, all images together. "Saved": what
        the codec saves of that row's bits. Refined: by the details sent before. Fixed scales: one
        zero-mean normal for each channel and quality, fitted to the very symbols that are counted;
        "of any": against one distribution of any form instead, fitted likewise. No prediction:
        local tokens less their channel's mean over these images. "Net" counts the global tokens
        too ({base_bits / pixels:.4f} bpp as in files without details, others cost less), which "no
        prediction" does without. All rows use local tokens that were trained with the prediction,
        and moved by a network that knows it; others might be coded better without one.
    """
    yield table(headings, rows) + "\n" + paragraph(notes)


def run(codec: Codec, dataset: Dataset, qualities: Sequence[int] = QUALITIES) -> str:
    """Measure; gives the text.

    Raises:
        SbtError: an image cannot be read.
    """
    return "\n\n".join(sections(codec, dataset, qualities))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    a = parser.parse_args()
    try:
        check(a.out, force=a.force)
        dataset = dataset_of(a.data_dir, a.limit)
        publish(run(Codec.load("cpu", precision="float32"), dataset), a.out, force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
