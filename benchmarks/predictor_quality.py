"""Pictures of global tokens alone with other predictors: how good the predictions are.

    python -m benchmarks.predictor_quality --checkpoint FILE --data-dir FOLDER --perceptual TRUNK

Checkpoints are those of `sbtcodec train --stage predictor`; the first row is the model's own. What
a predictor is measured on is the middle of each photograph, 256 pixels square, or 224 where its
shorter side has fewer than 256, as in training.
"""

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.output import add_options, check, dataset_of, heading, paragraph, publish, table
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import DatasetError, SbtError
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.metrics import Rgb, ms_ssim, psnr
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.image.opening import open_image
from sbtcodec.models.release import Release
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.tokenizer.predictor import Predictor, predictor_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training.local_data import SIDES, square_of
from sbtcodec.training.local_tokens import Coding, coding_of, local_tokens
from sbtcodec.training.predictor import trained_predictor
from sbtcodec.training.sensitivity import picture_of


@dataclass(frozen=True)
class Quality:
    """Means over photographs, of pictures of global tokens alone.

    Attributes:
        parameters: of the predictor.
        error: of local tokens, mean over channels of the squared error relative to the variance.
        weighted_error: the same as training has it, `Coding.error`.
        psnr: dB; the mean of each picture's.
        ms_ssim: of 1.
        vgg: distance of `VggDistance`; not a number without a trunk.
    """

    parameters: int
    error: float
    weighted_error: float
    psnr: float
    ms_ssim: float
    vgg: float

    def row(self) -> list[str]:
        """As a row of a table."""
        numbers = f"{self.error:.4f}", f"{self.weighted_error:.5f}", f"{self.psnr:.3f}"
        vgg = "" if np.isnan(self.vgg) else f"{self.vgg:.4f}"
        return [f"{self.parameters / 1e6:.2f}", *numbers, f"{self.ms_ssim:.4f}", vgg]

    def to_json(self) -> dict[str, float]:
        """As a plain dictionary."""
        return asdict(self)


HEADINGS = ["millions", "error of y", "weighted", "PSNR dB", "MS-SSIM", "VGG"]


class Judge:
    """Photographs with their tokens, by which predictors are measured."""

    def __init__(self, release: Release, dataset: Dataset, trunk: Path | None) -> None:
        """Encode the middle squares of photographs.

        Raises:
            DatasetError: none is large enough.
        """
        self.release, self.tokenizer = release, release.model.tokenizer
        self.distance = None if trunk is None else VggDistance(trunk)
        self.squares = [made for path in dataset.paths if (made := _middle(path)) is not None]
        if not self.squares:
            raise DatasetError(f"{dataset.name} holds no photograph of at least 224x224 pixels")
        self.tokens = [local_tokens(release, rgb[None], "cpu") for rgb in self.squares]
        self.coding: Coding = coding_of(release, [(len(s), s) for s in self.squares], "cpu")
        rows = torch.cat([y[0].flatten(1) for _, y in self.tokens], 1)
        self.variance = rows.var(1).clamp_min(1e-12)[:, None, None]

    @torch.inference_mode()
    def quality(self, predictor: nn.Module) -> Quality:
        """Measure a predictor: float [1, dims, H, W] to float [1, coarse_channels, 2H, 2W]."""
        found = []
        for rgb, (levels, y) in zip(self.squares, self.tokens, strict=True):
            counts = torch.from_numpy(levels).float()
            y_hat: Tensor = predictor(pixel_rows(self.tokenizer.fsq.to_values(counts)))
            x_hat = _bytes_of(picture_of(self.tokenizer, y_hat))
            vgg = float("nan") if self.distance is None else self.distance(rgb, x_hat)
            plain = float(((y_hat - y).square() / self.variance).mean())
            weighted = float(self.coding.error(y_hat, y).mean())
            found.append((plain, weighted, psnr(rgb, x_hat), ms_ssim(rgb, x_hat), vgg))
        parameters = sum(p.numel() for p in predictor.parameters())
        return Quality(parameters, *map(float, np.mean(found, 0)))


def _middle(path: Path) -> Rgb | None:
    """The middle of a photograph, at the size that training has; None if it is too small."""
    with open_image(path) as image:
        rgb = image.convert("RGB")
    side = next((s for s in SIDES if s <= min(rgb.size)), None)
    return None if side is None else np.ascontiguousarray(square_of(rgb, side, None))


def _bytes_of(x_hat: Tensor) -> Rgb:
    pixels = (x_hat[0] * 255).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def released_predictor(release: Release) -> Predictor:
    """The model's own."""
    tokenizer = release.model.tokenizer
    return predictor_like(tokenizer, PredictorSizes.of(tokenizer.config)).eval()


NOTES = """
    Pictures of global tokens alone, those of a file without details, of the middle square of each
    photograph; tokens as in training, all else in float32. Error of y: of the encoder's local
    tokens, mean over channels of the squared error relative to the variance; weighted: by what the
    decoder makes of it. 1 is a prediction that says nothing, 0 an exact one. VGG: the distance of
    `sbtcodec.evaluation.perceptual`, less is better.
"""


def run(codec: Codec, dataset: Dataset, checkpoints: list[Path], trunk: Path | None) -> str:
    """Measure the model's own predictor and those of checkpoints; gives the text.

    Raises:
        SbtError: a file is not what it should be.
    """
    judge = Judge(codec.release, dataset, trunk)
    rows = [["of the model", *judge.quality(released_predictor(codec.release)).row()]]
    for path in checkpoints:
        made = trained_predictor(path, codec.release.model.tokenizer)
        rows.append([str(path.parent.name), *judge.quality(made).row()])
    shown = table(["predictor", *HEADINGS], rows)
    return "\n\n".join([heading(dataset, codec), shown, paragraph(NOTES)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--checkpoint", type=Path, nargs="*", default=[], help="of predictors")
    parser.add_argument("--perceptual", type=Path, help="a VGG-16 trunk")
    a = parser.parse_args()
    try:
        check(a.out, force=a.force)
        codec = Codec.load("cpu", precision="float32")
        text = run(codec, dataset_of(a.data_dir, a.limit), a.checkpoint, a.perceptual)
        publish(text, a.out, force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
