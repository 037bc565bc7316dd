"""A worker of a collection: one codec, which compresses the images of the tables it is given."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sbtcodec.collection.extra import require
from sbtcodec.collection.manifest import Entry, Settings, to_table
from sbtcodec.collection.names import to_path, to_text
from sbtcodec.collection.plan import Item
from sbtcodec.collection.storage import Place
from sbtcodec.collection.transfers import Transfers
from sbtcodec.errors import ImageError, SbtError, WeightsError

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pyarrow as pa

    from sbtcodec.codec.codec import Codec
    from sbtcodec.image.picture import Picture

REFUSED = "refused"
SYSTEM_EXIT_CODE = 1
BUG_EXIT_CODE = 70


class File(Protocol):
    """What an encoder gives."""

    @property
    def data(self) -> bytes:
        """The bytes of the `.sbt` file."""
        ...

    @property
    def quality(self) -> float | None:
        """0 to 100; None if it holds the global tokens alone."""
        ...

    @property
    def fields(self) -> dict[str, float | None]:
        """Further numbers; `psnr` goes into the manifest."""
        ...


Encoder = Callable[["Codec", "Picture"], File]
"""Makes the file of a picture, raising `SbtError`; sent to other machines, so it is picklable."""


@dataclass(frozen=True)
class WorkerConfig:
    """What all workers of a collection are told; sent to other machines.

    Attributes:
        roots: places in the file systems that the images are in.
        out: folder of the collection.
        settings: of all its files.
        encoder: makes a file.
        device: `cpu` or `cuda`.
        threads: for each worker.
        max_pixels: of an image.
        weights: folder with a manifest of models, instead of the installed one.
        mark: of the temporary files of this run.
        precision: see `Codec.load`.
    """

    roots: tuple[Place, ...]
    out: Place
    settings: Settings
    encoder: Encoder
    device: str
    threads: int
    max_pixels: int
    weights: Path | None
    mark: str = ""
    precision: str = "auto"


def to_rows(items: Sequence[Item], roots: Sequence[Place]) -> "pa.Table":
    """Return images as a table for workers; their file systems go with the configuration, once."""
    numbers = {(id(root.filesystem), root.chain): i for i, root in enumerate(roots)}
    rows = [
        {
            "root": numbers[id(item.place.filesystem), item.place.chain],
            "place": to_text(item.place.path),
            "size": item.size,
            "path": to_text(item.path),
            "version": item.version,
        }
        for item in items
    ]
    return require("pyarrow").Table.from_pylist(rows)


class Worker:
    """Compresses images; an actor of Ray holds one."""

    def __init__(self, config: WorkerConfig) -> None:
        """Load the codec; what keeps it from that is told in answer to the first table.

        An error here would reach the other side as text only, below a traceback.
        """
        import torch

        torch.set_num_threads(config.threads)
        warnings.filterwarnings("ignore", module=r"PIL\.")  # which Ray would print
        self._config = config
        self._transfers = Transfers([*config.roots, config.out], config.mark)
        self._refusal: SbtError | None = None
        try:
            self._codec = _load(config)
        except SbtError as error:
            self._refusal = error

    def __call__(self, table: "pa.Table") -> "pa.Table":
        """Compress images, a row of `to_rows` each, and return the rows of the manifest.

        Their status is `REFUSED` if this worker cannot do anything: then `error` and `exit_code`
        are of the reason.
        """
        roots = self._config.roots
        items = [
            Item(
                roots[row["root"]].at(to_path(row["place"])),
                row["size"],
                to_path(row["path"]),
                row["version"],
            )
            for row in table.to_pylist()
        ]
        if self._refusal is not None:
            sentence, exit_code = str(self._refusal), self._refusal.exit_code
            refused = (replace(item.failed(sentence, exit_code), status=REFUSED) for item in items)
            return to_table(list(refused))
        begun = [self._compress(item, content) for item, content in self._transfers.read(items)]
        return to_table([_written(item, entry, writing) for item, entry, writing in begun])

    def _compress(
        self, item: Item, content: "Future[bytes]"
    ) -> "tuple[Item, Entry, Future[None] | None]":
        """Compress an image, begin to write its file, and return its row if that succeeds."""
        from sbtcodec.image.pixels import load_image

        start = time.perf_counter()
        try:
            strip = self._config.settings.strip
            file = content.result()
            try:
                picture = load_image(file, max_pixels=self._config.max_pixels, strip=strip)
            except ImageError as error:  # which knows no name
                raise ImageError(f"{item.source}: {error}") from error
            made = self._config.encoder(self._codec, picture)
            data = made.data
            writing = self._transfers.write(self._config.out.below(item.path), data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of the coder is no Exception
            return item, item.failed(*_explain(item, error)), None
        height, width = picture.rgb.shape[:2]
        entry = Entry(
            item.source,
            item.size,
            item.path,
            "done",
            len(data),
            width,
            height,
            8 * len(data) / (width * height),
            made.quality,
            made.fields.get("psnr"),
            time.perf_counter() - start,
            notices="; ".join(picture.notices) or None,
            source_version=item.version,
        )
        return item, entry, writing


def _written(item: Item, entry: Entry, writing: "Future[None] | None") -> Entry:
    """The row of an image when its file is there, also if that failed."""
    if writing is not None:
        try:
            writing.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in the row
            return item.failed(*_explain(item, error))
    return entry


def _load(config: WorkerConfig) -> "Codec":
    """Load the codec.

    Raises:
        WeightsError: this machine has other weights than the one that gave the config, or none.
        DeviceError: the device is not there.
    """
    from sbtcodec.codec.codec import Codec

    codec = Codec.load(config.device, precision=config.precision, weights=config.weights)
    if codec.model_id != config.settings.model:
        raise WeightsError(
            f"a worker has model {codec.model_id}, expected {config.settings.model};"
            " install the same version of sbtcodec on all machines"
        )
    return codec


def _explain(item: Item, error: BaseException) -> tuple[str, int]:
    """Return a sentence of one line on an error, and the exit code that goes with it."""
    if isinstance(error, SbtError):
        return " ".join(str(error).splitlines()), error.exit_code
    # torch has an error of its own on CUDA, and a plain RuntimeError on the CPU
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    ):
        return f"{item.source}: not enough memory for an image of this size", SYSTEM_EXIT_CODE
    reason = " ".join(f"{type(error).__name__}: {error}".splitlines())
    return f"{item.source}: this is a bug ({reason}); please report it", BUG_EXIT_CODE
