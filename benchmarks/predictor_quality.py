"""Pictures of global tokens alone with other predictors: how good the predictions are.

    python -m benchmarks.predictor_quality --checkpoint FILE --data-dir FOLDER --perceptual TRUNK
        [--held-out CLASSES]

Checkpoints are those of `sbtcodec train --stage predictor`; the first row is the model's own. What
a predictor is measured on is the middle of each photograph, 256 pixels square, or 224 where its
shorter side has fewer than 256, as in training. With photographs of the generator's classes that
nothing was trained on, pictures that the generator draws are measured as well.
"""

import argparse
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.output import add_options, check, dataset_of, heading, paragraph, publish, table
from benchmarks.predictor_samples import Samples, drawn_samples, picture
from sbtcodec.codec.codec import Codec
from sbtcodec.errors import ArgumentError, DatasetError, SbtError
from sbtcodec.evaluation.datasets import Dataset
from sbtcodec.evaluation.metrics import Rgb, ms_ssim, psnr
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.image.opening import open_image
from sbtcodec.models.release import Release
from sbtcodec.tokenizer.layers import pixel_rows
from sbtcodec.tokenizer.predictor import Predictor, predictor_like
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training import checkpoint
from sbtcodec.training.local_data import SIDES, square_of
from sbtcodec.training.local_tokens import Coding, coding_of, local_tokens
from sbtcodec.training.predictor import trained_predictor


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
        samples: Frechet distance of pictures that the generator draws to photographs; not a number
            where it was not asked for.
    """

    parameters: int
    error: float
    weighted_error: float
    psnr: float
    ms_ssim: float
    vgg: float
    samples: float = float("nan")

    def row(self) -> list[str]:
        """As a row of a table."""
        numbers = f"{self.error:.4f}", f"{self.weighted_error:.5f}", f"{self.psnr:.3f}"
        optional = ("" if np.isnan(v) else f"{v:.4f}" for v in (self.vgg, self.samples))
        return [f"{self.parameters / 1e6:.2f}", *numbers, f"{self.ms_ssim:.4f}", *optional]

    def to_json(self) -> dict[str, float]:
        """As a plain dictionary."""
        return asdict(self)


HEADINGS = ["millions", "error of y", "weighted", "PSNR dB", "MS-SSIM", "VGG", "samples"]


class Judge:
    """Photographs with their tokens, by which predictors are measured."""

    def __init__(
        self,
        release: Release,
        dataset: Dataset,
        trunk: Path | None,
        *,
        held_out: Path | None = None,
        count: int = 250,
    ) -> None:
        """Encode the middle squares of photographs, and draw from the generator.

        Args:
            release: whose tokens.
            dataset: photographs.
            trunk: a VGG-16 trunk.
            held_out: folders of photographs of the generator's classes, to compare with what it
                draws; nothing is drawn without.
            count: how much is drawn.

        Raises:
            SbtError: no photograph is large enough, or there is no generator or trunk.
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
        self.samples: Samples | None = None
        if held_out is not None:
            if self.distance is None:
                raise ArgumentError("samples are measured by a trunk, and there is none: give one")
            self.samples = drawn_samples(self.tokenizer, self.distance, held_out, count)

    @torch.inference_mode()
    def quality(self, predictor: nn.Module) -> Quality:
        """Measure a predictor: float [1, dims, H, W] to float [1, coarse_channels, 2H, 2W]."""
        found = []
        for rgb, (levels, y) in zip(self.squares, self.tokens, strict=True):
            counts = torch.from_numpy(levels).float()
            y_hat: Tensor = predictor(pixel_rows(self.tokenizer.fsq.to_values(counts)))
            x_hat = picture(self.tokenizer, y_hat)
            vgg = float("nan") if self.distance is None else self.distance(rgb, x_hat)
            plain = float(((y_hat - y).square() / self.variance).mean())
            weighted = float(self.coding.error(y_hat, y).mean())
            found.append((plain, weighted, psnr(rgb, x_hat), ms_ssim(rgb, x_hat), vgg))
        parameters = sum(p.numel() for p in predictor.parameters())
        drawn = float("nan") if self.samples is None else self.samples.distance(predictor)
        return replace(Quality(parameters, *map(float, np.mean(found, 0))), samples=drawn)


def _middle(path: Path) -> Rgb | None:
    """The middle of a photograph, at the size that training has; None if it is too small."""
    with open_image(path) as image:
        rgb = image.convert("RGB")
    side = next((s for s in SIDES if s <= min(rgb.size)), None)
    return None if side is None else np.ascontiguousarray(square_of(rgb, side, None))


def released_predictor(release: Release) -> Predictor:
    """The model's own."""
    tokenizer = release.model.tokenizer
    return predictor_like(tokenizer, PredictorSizes.of(tokenizer.config)).eval()


NOTES = """
    Pictures of global tokens alone, those of a file without details, of the middle square of each
    photograph; tokens as in training, all else in float32. Error of y: of the encoder's local
    tokens, mean over channels of the squared error relative to the variance; weighted: by what the
    decoder makes of it. 1 is a prediction that says nothing, 0 an exact one. Minutes and steps are
    those of training, minutes on the clock of `train`: of a core, on a CPU. VGG: the distance of
    `sbtcodec.evaluation.perceptual`, less is better. Samples: Frechet distance of pictures that the
    generator draws to photographs, as `benchmarks.generator` has it.
"""


def run(
    codec: Codec,
    dataset: Dataset,
    checkpoints: list[Path],
    trunk: Path | None,
    held_out: Path | None = None,
) -> str:
    """Measure the model's own predictor and those of checkpoints; gives the text.

    Raises:
        SbtError: a file is not what it should be.
    """
    judge = Judge(codec.release, dataset, trunk, held_out=held_out)
    rows = [["of the model", "", "", *judge.quality(released_predictor(codec.release)).row()]]
    for path in checkpoints:
        made = trained_predictor(path, codec.release.model.tokenizer)
        _, progress = checkpoint.load(path)
        length = f"{progress['seconds'] / 60:.0f}", str(progress["step"])
        rows.append([str(path.parent.name), *length, *judge.quality(made).row()])
    shown = table(["predictor", "minutes", "steps", *HEADINGS], rows)
    return "\n\n".join([heading(dataset, codec), shown, paragraph(NOTES)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--checkpoint", type=Path, nargs="*", default=[], help="of predictors")
    parser.add_argument("--perceptual", type=Path, help="a VGG-16 trunk")
    parser.add_argument("--held-out", type=Path, help="photographs of the generator's classes")
    a = parser.parse_args()
    try:
        check(a.out, force=a.force)
        codec = Codec.load("cpu", precision="float32")
        dataset = dataset_of(a.data_dir, a.limit)
        text = run(codec, dataset, a.checkpoint, a.perceptual, a.held_out)
        publish(text, a.out, force=a.force)
    except SbtError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
