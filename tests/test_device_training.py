"""Training on a device: the crops, losses and updates of the reference loop, unread by the host."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from sbtcodec.errors import DatasetError
from sbtcodec.training.data import recoloured
from sbtcodec.training.resident import ORDERS, Colours, Photographs, Squares

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    return [data.coffee()[50:250, 100:371], data.astronaut()[:213, 130:338]]


@pytest.fixture(scope="module")
def photographs(images: list[NDArray[np.uint8]]) -> Photographs:
    return Photographs(images, CPU)


def test_crops_are_those_that_pillow_cuts_and_reduces(
    images: list[NDArray[np.uint8]], photographs: Photographs
) -> None:
    squares = [
        (0, 3, 200, 64),
        (1, 60, 7, 64),
        (0, 0, 0, 128),
        (1, 100, 90, 101),
        (0, 72, 143, 128),
    ]
    cut = photographs.cut(Squares(*torch.tensor(squares).T), 64)
    for made, (number, top, left, source) in zip(cut, squares, strict=True):
        square = images[number][top : top + source, left : left + source]
        expected = Image.fromarray(square).resize((64, 64), Image.Resampling.LANCZOS)
        apart = np.abs(made.permute(1, 2, 0).numpy() - np.asarray(expected).astype(float))
        assert apart.max() <= (0 if source == 64 else 1)


def test_colours_are_those_of_the_reference(images: list[NDArray[np.uint8]]) -> None:
    class Told:
        """A generator that says what it is told."""

        def __init__(self, order: int, saturation: float, contrast: float) -> None:
            self.order, self.factors = order, [saturation, contrast]

        def random(self) -> float:
            return 0.0

        def permutation(self, _: int) -> list[int]:
            return list(ORDERS[self.order])

        def uniform(self, *_: float) -> float:
            return self.factors.pop(0)

    rgb = images[0][:64, :64]
    settings = [(0, 2.1, 0.8), (3, 0.75, 1.3), (5, 1.0, 1.0)]
    orders, saturations, contrasts = zip(*settings, strict=True)
    x = torch.from_numpy(rgb.copy()).permute(2, 0, 1).float().expand(3, -1, -1, -1)
    wanted = torch.ones(3, dtype=torch.bool)
    colours = Colours(
        wanted, torch.tensor(orders), torch.tensor(saturations), torch.tensor(contrasts)
    )
    made = Photographs(images, CPU).recoloured(x, colours).permute(0, 2, 3, 1).numpy()
    for crop, setting in zip(made, settings, strict=True):
        expected = recoloured(rgb, Told(*setting))  # type: ignore[arg-type]
        assert np.abs(crop - expected.astype(float)).max() <= 1
    left = Photographs(images, CPU).recoloured(x, colours._replace(wanted=~wanted))
    assert torch.equal(left, x)


def test_draws_stay_inside_photographs_and_reach_their_borders(photographs: Photographs) -> None:
    squares, colours = photographs.drawn(96, 20_000, torch.Generator().manual_seed(1))
    heights = photographs.heights[squares.photograph]
    widths = photographs.widths[squares.photograph]
    assert int(squares.source.min()) == 96
    assert int(squares.source.max()) == 192  # twice the side; the photographs are larger
    for first, lengths in ((squares.top, heights), (squares.left, widths)):
        room = lengths - squares.source - first
        assert int(first.min()) == int(room.min()) == 0
    assert float((squares.source > 96).float().mean()) == pytest.approx(0.495, abs=0.02)
    assert float(colours.wanted.float().mean()) == pytest.approx(0.4, abs=0.02)
    permuted = float((colours.order[colours.wanted] > 0).float().mean())
    assert permuted == pytest.approx(0.25 * 5 / 6, abs=0.02)
    assert not colours.order[~colours.wanted].any()


def test_crops_depend_on_the_generator_alone(photographs: Photographs) -> None:
    first, again, other = (
        photographs.crops(64, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (3, 3, 64, 64)
    assert 0 <= float(first.min()) < float(first.max()) <= 1


def test_no_photograph_is_one_clear_error() -> None:
    with pytest.raises(DatasetError, match="expected one or more"):
        Photographs([], CPU)
