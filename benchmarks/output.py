"""What the table-printing benchmarks share: their data set, their heading, their output file."""

import argparse
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from sbtcodec.codec.codec import Codec
from sbtcodec.evaluation.datasets import Dataset, open_dataset
from sbtcodec.evaluation.machine import describe_machine, package_versions
from sbtcodec.evaluation.metrics import Rgb
from sbtcodec.image.files import check_output, write_atomically

WIDTH = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that every such benchmark has."""
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of images")
    parser.add_argument("--limit", type=int, help="only the first so many images")
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    parser.add_argument("--force", action="store_true", help="replace existing files")


def dataset_of(folder: Path, limit: int | None = None) -> Dataset:
    """The images of a folder; if it is called kodak, they are checked to be those published.

    Raises:
        DatasetError: the folder is missing, empty, or not what it is called.
    """
    if folder.resolve().name == "kodak":
        return open_dataset("kodak", data_dir=folder, limit=limit)
    return open_dataset(str(folder), limit=limit)


def heading(dataset: Dataset, codec: Codec) -> str:
    """What was measured and where, without a date: one line."""
    return f"{images_of(dataset)}, model {codec.model_id}, {codec.precision}; {place()}"


def images_of(dataset: Dataset) -> str:
    """How many images of which data set."""
    count = len(dataset.paths)
    return f"{count} {'image' if count == 1 else 'images'} of {dataset.name}"


def place() -> str:
    """The machine, and the torch on it."""
    machine = describe_machine("cpu")
    return f"{machine.cpu}, {machine.cores} cores, torch {package_versions()['torch']}"


def paragraph(text: str) -> str:
    """Text wrapped to the width of the tables."""
    return textwrap.fill(" ".join(text.split()), WIDTH)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, the first one left-aligned and the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in (headings, *rows)
    ]
    return "\n".join(lines)


def webp_of(sheet: Rgb, quality: int) -> bytes:
    """The bytes of a WebP file of a sheet, uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def check(out: Path | None, *, force: bool) -> None:
    """Fail before long work if the output could not be written.

    Raises:
        OutputError: it could not.
    """
    if out is not None:
        check_output(out, force=force)


def publish(text: str, out: Path | None, *, force: bool) -> None:
    """Print a text, and write it to a file if there is one to write to.

    Raises:
        OutputError: the file exists and `force` is False, or cannot be written.
    """
    print(text)
    if out is not None:
        write_atomically(out, f"{text}\n".encode(), force=force)
