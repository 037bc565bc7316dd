"""The generator measured: how near its pictures come to photographs, by guidance and by rounds.

    python -m benchmarks.generator distances --classes FOLDER --held-out FOLDER --trunk FILE
    python -m benchmarks.generator guidance  --held-out FOLDER --trunk FILE [--grid 0:12 1:12]
    python -m benchmarks.generator kodak     --data-dir KODAK
    python -m benchmarks.generator sheet     --picture FILE [--realism 1]

`distances`: samples, of all classes alike, against 500 photographs that nothing was trained on;
beside them other photographs, pictures of their tokens, samples of the integer prior that codes
files, and tokens drawn by their frequencies; tokens and samples in the vivid look, too, if the
model has one. `guidance`: the same for guidances and numbers of rounds. `kodak`: bits of Kodak's
global tokens under the generator and under the prior. `sheet`: a column of samples for each class.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from benchmarks.output import check, dataset_of, paragraph, place, publish, table
from benchmarks.token_sources import (
    by_frequency,
    from_prior,
    photographs,
    pictures,
    whole_photographs,
)
from sbtcodec.codec.codec import Codec
from sbtcodec.evaluation.distribution import (
    Features,
    features_of,
    frechet_distance,
    kernel_distance,
)
from sbtcodec.evaluation.perceptual import VggDistance
from sbtcodec.generation.config import GUIDANCE, MASKED, SIDE, STEPS, WINDOW
from sbtcodec.generation.generator import Generator
from sbtcodec.image.pixels import load_image
from sbtcodec.training.generator_step import held_out_bits
from sbtcodec.training.token_data import token_data

COUNT = 500
GRID = ("0:12", "1:12", "2:12", "4:12", "2:8", "2:16")


def samples(
    generator: Generator, count: int, guidance: float, steps: int, seed: int
) -> NDArray[np.uint8]:
    """Windows uint8 [count, 64, dims] of all classes alike."""
    each = -(-count // len(generator.classes))
    made = []
    for number, name in enumerate(tqdm(generator.classes, desc="sampling", disable=None)):
        # of a seed, classes have the same random numbers, so that their pictures are alike
        own = seed * len(generator.classes) + number
        drawn = generator.sample(each, label=name, seed=own, guidance=guidance, steps=steps)
        made += [tokens.levels.reshape(WINDOW, -1) for tokens in drawn]
    return np.stack(made[:count])


class Judge:
    """Distances to the photographs to judge by."""

    def __init__(self, codec: Codec, trunk: Path, held_out: Path, count: int) -> None:
        """Take their features; `count` pictures are compared with them."""
        self.codec, self.trunk, self.count = codec, VggDistance(trunk), count
        self.real = features_of(self.trunk, photographs(held_out, COUNT))

    def row(self, name: str, shown: Iterator[NDArray[np.uint8]]) -> tuple[str, str, str]:
        """Name, Frechet and kernel distance of pictures."""
        bar = tqdm(shown, desc=name, total=self.count, disable=None)
        features: Features = features_of(self.trunk, bar)
        frechet = frechet_distance(features, self.real)
        return name, f"{frechet:.3f}", f"{kernel_distance(features, self.real):.3f}"

    def tokens(
        self, name: str, windows: NDArray[np.uint8], *, realism: float = 0.0
    ) -> tuple[str, str, str]:
        """The same of pictures of windows."""
        return self.row(name, pictures(self.codec, windows, realism=realism))


def note(count: int) -> str:
    """What the distances of so many pictures are."""
    return paragraph(
        f"""{count} pictures of 256x256 each against {COUNT} photographs of the ten classes that
        nothing was trained on. Frechet: squared distance of normal distributions in 64 principal
        components of the features, in units of the photographs' variance; kernel: as KID, unbiased.
        Features: means of blocks 3 and 4 of a VGG-16 trunk; they are not those of FID, and not
        comparable with it. The vivid look was trained on features of the same trunk."""
    )


def distances(arguments: argparse.Namespace, codec: Codec, generator: Generator) -> str:
    """The table of samples and what they are compared with."""
    count, seed = arguments.count, arguments.seed
    judge = Judge(codec, arguments.trunk, arguments.held_out, count)
    kept = arguments.tokens
    known = token_data(codec.release, kept, classes=arguments.classes, each=(1, 1))
    strength, steps = arguments.guidance, STEPS
    real, drawn = (
        whole_photographs(known, count),
        samples(generator, count, strength, steps, seed),
    )
    name = f"the generator, {told(generator, strength, steps)}"
    rows = [
        judge.row("other photographs", photographs(arguments.classes, count)),
        judge.tokens("their global tokens, decoded", real),
        judge.tokens(name, drawn),
        judge.tokens("the codec's integer prior", from_prior(codec, count, seed)),
        judge.tokens("tokens by their frequencies", by_frequency(known, count, seed)),
    ]
    if codec.has_look():
        rows += [
            judge.tokens("photographs' global tokens, vivid", real, realism=1),
            judge.tokens("the generator, vivid", drawn, realism=1),
        ]
    return f"{table(('pictures', 'Frechet', 'kernel'), rows)}\n\n{note(count)}"


def told(generator: Generator, strength: float, steps: int) -> str:
    """How samples are drawn."""
    order = generator.config.order
    return f"{order}, guidance {strength:g}" + (f", {steps} rounds" if order == MASKED else "")


def guidance(arguments: argparse.Namespace, codec: Codec, generator: Generator) -> str:
    """The table of guidances and rounds."""
    judge = Judge(codec, arguments.trunk, arguments.held_out, arguments.count)
    rows = []
    for strength, steps in (map(float, pair.split(":")) for pair in arguments.grid):
        windows = samples(generator, arguments.count, strength, int(steps), arguments.seed)
        rows.append(judge.tokens(told(generator, strength, int(steps)), windows))
    return f"{table(('samples', 'Frechet', 'kernel'), rows)}\n\n{note(arguments.count)}"


def kodak(arguments: argparse.Namespace, codec: Codec, generator: Generator) -> str:
    """The table of bits of Kodak's global tokens."""
    windows, coded, tokens = [], 0.0, 0
    for path in dataset_of(arguments.data_dir).paths:
        data = codec.compress(load_image(path).rgb, globals_only=True)
        levels = codec.tokens_of(data).levels
        h, w, dims = levels.shape
        assert h % SIDE == 0 and w % SIDE == 0
        grid = levels.reshape(h // SIDE, SIDE, w // SIDE, SIDE, dims).swapaxes(1, 2)
        windows.append(grid.reshape(-1, WINDOW, dims))
        coded += 8 * len(data)
        tokens += h * w
    every = torch.from_numpy(np.concatenate(windows))
    labels = torch.full((len(every),), generator.config.no_class)
    orders = 16
    found = np.mean([held_out_bits(generator.model, every, labels, seed) for seed in range(orders)])
    rows = [
        ("the integer prior: files, their headers and checks included", f"{coded / tokens:.2f}"),
        ("the generator: what it would need, windows by themselves", f"{found:.2f}"),
    ]
    explained = paragraph(
        f"""24 images of kodak, global tokens alone, bits a token of 22.85 at most. The generator's
        is an upper bound, over {orders} orders in which the tokens of a window of 8x8 are known one
        by one; the prior sees neighbours beyond the window. Not a codec: floats that decide
        probabilities would have to be exact."""
    )
    return f"{table(('bits of', 'bits a token'), rows)}\n\n{explained}"


def sheet(arguments: argparse.Namespace, codec: Codec, generator: Generator) -> None:
    """Write a picture with a column of samples for each class."""
    columns = []
    for name in tqdm(generator.classes, desc="classes", disable=None):
        made = generator.sample(
            arguments.each, label=name, seed=arguments.seed, guidance=arguments.guidance
        )
        shown = [codec.detokenize(t, realism=arguments.realism) for t in made]
        small = [picture.resize((128, 128), Image.Resampling.LANCZOS) for picture in shown]
        columns.append(np.concatenate([np.asarray(p) for p in small]))
    Image.fromarray(np.concatenate(columns, 1)).save(arguments.picture)


def main() -> None:
    """Print, and write, one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("distances", "guidance", "kodak", "sheet"))
    parser.add_argument("--classes", type=Path, help="folder of folders of photographs")
    parser.add_argument("--held-out", type=Path, help="the same, that nothing was trained on")
    parser.add_argument("--trunk", type=Path, help="a VGG-16 trunk")
    parser.add_argument("--data-dir", type=Path, help="Kodak")
    parser.add_argument("--tokens", type=Path, default=Path("runs/tokens"), help="where kept")
    parser.add_argument("--weights", type=Path, help="folder of models, not the installed one")
    parser.add_argument("--picture", type=Path, default=Path("sheet.png"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=COUNT, help="pictures of each kind")
    parser.add_argument("--each", type=int, default=8, help="samples of a class in the sheet")
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--realism", type=float, default=0.0, help="of the sheet")
    parser.add_argument("--grid", nargs="+", default=GRID, help="of guidances and rounds")
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    arguments = parser.parse_args()
    check(arguments.out, force=arguments.force)
    codec = Codec.load(device="cpu", precision="float32")
    generator = Generator.load(device="cpu", weights=arguments.weights)
    if arguments.what == "sheet":
        sheet(arguments, codec, generator)
        return
    made = {"distances": distances, "guidance": guidance, "kodak": kodak}[arguments.what]
    parameters = sum(p.numel() for p in generator.model.parameters()) / 1e6
    head = (
        f"{generator.name}, {parameters:.1f} million parameters, model {codec.model_id}; {place()}"
    )
    publish(f"{head}\n\n{made(arguments, codec, generator)}", arguments.out, force=arguments.force)


if __name__ == "__main__":
    main()
