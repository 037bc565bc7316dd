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
from sbtcodec.collection.storage import Place, write_whole
from sbtcodec.errors import ImageError, SbtError, WeightsError

if TYPE_CHECKING:
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
        items = (
            Item(
                roots[row["root"]].at(to_path(row["place"])),
                row["size"],
                to_path(row["path"]),
                row["version"],
            )
            for row in table.to_pylist()
        )
        if self._refusal is not None:
            sentence, exit_code = str(self._refusal), self._refusal.exit_code
            refused = (replace(item.failed(sentence, exit_code), status=REFUSED) for item in items)
            return to_table(list(refused))
        return to_table([self.compress(item) for item in items])

    def compress(self, item: Item) -> Entry:
        """Compress an image, write its file, and return its row, also if that failed."""
        from sbtcodec.image.pixels import load_image

        start = time.perf_counter()
        try:
            strip = self._config.settings.strip
            content = _read(item.place)
            try:
                picture = load_image(content, max_pixels=self._config.max_pixels, strip=strip)
            except ImageError as error:  # which knows no name
                raise ImageError(f"{item.source}: {error}") from error
            made = self._config.encoder(self._codec, picture)
            data = made.data
            write_whole(self._config.out.below(item.path), data, self._config.mark)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of the coder is no Exception
            return item.failed(*_explain(item, error))
        height, width = picture.rgb.shape[:2]
        return Entry(
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


def _read(place: Place) -> bytes:
    """Return the content of a file.

    Raises `ImageError`.
    """
    try:
        return bytes(place.filesystem.cat_file(place.path))
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(f"{place.name} cannot be read: {reason}") from error


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
