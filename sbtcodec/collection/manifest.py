"""The manifest of a collection, in Parquet: one row for each image, what came of it.

At rest there is one file, `manifest.parquet`, sorted by source. While a run is under way its rows
go to `manifest.parts/part-000000.parquet` and so on, every few hundred images or seconds; at its
end, Ctrl-C included, they are merged into `manifest.parquet` and removed. A run that was killed
leaves them, and the next one goes on from them. Both are read together by `read`; of several rows
for one source, the last counts.

Every file carries the settings of the collection in the metadata of its schema, as JSON under the
key `sbtcodec`, so that one collection does not mix qualities. How names that are not UTF-8 are
written is said in `names`. Manifests of earlier versions, without `source_version`, are read too.
"""

import io
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sbtcodec.collection.extra import require
from sbtcodec.collection.files import write_whole
from sbtcodec.collection.names import to_path, to_sentence, to_text
from sbtcodec.collection.storage import Place, list_sizes
from sbtcodec.errors import OutputError
from sbtcodec.rdo.effort import DEFAULT_EFFORT, as_setting

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.parquet"
PARTS = "manifest.parts"
PART_ROWS = 500
PART_SECONDS = 20.0

_METADATA_KEY = b"sbtcodec"
_PART = re.compile(rf"{re.escape(PARTS)}/part-(\d+)\.parquet")


@dataclass(frozen=True)
class Settings:
    """What all files of a collection have in common.

    Attributes:
        quality: 0 to 100; of no account if one is searched for, or with global tokens alone.
        globals_only: whether the files hold the global tokens alone.
        model: name and digest, as `Codec.model_id` gives them.
        effort: 0 to 9.
        strip: whether metadata is left out.
        search: what the quality of each file is searched for, such as "size=20000".
        keep_invisible: whether the colours of what is wholly transparent are encoded as they are.
        look: how pictures are meant to be seen, if that is said.
    """

    quality: float
    globals_only: bool
    model: str
    effort: int = DEFAULT_EFFORT
    strip: bool = False
    search: str = ""
    keep_invisible: bool = False
    look: str | None = None

    def __str__(self) -> str:
        """The settings for people."""
        what = self.search or f"quality {self.quality:g}"
        what = "global tokens alone" if self.globals_only else what
        strip = ", without metadata" if self.strip else ""
        invisible = ", with invisible colours" if self.keep_invisible else ""
        look = f", meant to be seen {self.look}" if self.look else ""
        return f"{what}{as_setting(self.effort)}{strip}{invisible}{look}, model {self.model}"


@dataclass(frozen=True)
class Entry:
    """A row: one image.

    Attributes:
        source: path or URI of the image.
        source_bytes: size of its file; -1 if the file system does not tell.
        path: of the `.sbt` file, relative to the folder of the collection.
        status: `done`; `skipped` if the output was there before the collection and was kept;
            `failed`.
        bytes: size of the `.sbt` file, None if failed.
        width: in pixels, None unless done.
        height: in pixels, None unless done.
        bpp: bits of the file per pixel, None unless done.
        quality: 0 to 100, None unless done, and with global tokens alone.
        psnr: of the decoded picture in dB, None unless done and verified.
        seconds: for the work on this image, None unless done; neither what was read before nor the
            writing counts.
        error: a sentence, None unless failed.
        exit_code: that belongs to the error; 0 without one.
        notices: sentences on what was not kept, separated by "; "; None if there is nothing.
        source_version: of the image when it was listed: its time of modification, ETag or checksum,
            as `version_of` gives it; None if that is unknown.
    """

    source: str
    source_bytes: int
    path: str
    status: str
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    bpp: float | None = None
    quality: float | None = None
    psnr: float | None = None
    seconds: float | None = None
    error: str | None = None
    exit_code: int = 0
    notices: str | None = None
    source_version: str | None = None


def schema(settings: Settings | None = None) -> "pa.Schema":
    """The schema of manifests, and of the tables that workers return."""
    pa = require("pyarrow")
    fields = [
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_bytes", pa.int64(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("bytes", pa.int64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("bpp", pa.float64()),
        pa.field("quality", pa.float64()),
        pa.field("psnr", pa.float64()),
        pa.field("seconds", pa.float64()),
        pa.field("error", pa.string()),
        pa.field("exit_code", pa.int16(), nullable=False),
        pa.field("notices", pa.string()),
        pa.field("source_version", pa.string()),
    ]
    metadata = {_METADATA_KEY: json.dumps(asdict(settings)).encode()} if settings else None
    return pa.schema(fields, metadata)


def to_table(entries: Sequence[Entry], settings: Settings | None = None) -> "pa.Table":
    """Return entries as a table."""
    rows = [
        asdict(entry)
        | {
            "path": to_text(entry.path),
            "error": to_sentence(entry.error),
            "notices": to_sentence(entry.notices),
        }
        for entry in entries
    ]
    return require("pyarrow").Table.from_pylist(rows, schema(settings))


def to_entries(table: "pa.Table") -> list[Entry]:
    """Return the rows of a table."""
    return [Entry(**row | {"path": to_path(row["path"])}) for row in table.to_pylist()]


def read(out: Place) -> tuple["pa.Table", Settings | None]:
    """Read the manifest of a collection: one row for each source, by source, and the settings.

    The table is empty and there are no settings if there is no manifest.

    Raises `OutputError` if a file of it is damaged.
    """
    pa = require("pyarrow")
    tables = [_read_file(out.below(name)) for name in _files(out)]
    if not tables:
        return to_table([]), None
    settings = Settings(**json.loads(tables[-1].schema.metadata[_METADATA_KEY]))
    return _last_rows(pa.concat_tables(t.replace_schema_metadata() for t in tables)), settings


class Manifest:
    """The manifest of a collection that is being made; see the module for the files."""

    def __init__(self, out: Place, settings: Settings, *, anew: bool = False) -> None:
        """Go on with the manifest in the folder `out`, or start one; forget an earlier if `anew`.

        A part without rows is written at once: it marks the folder, for a run that is killed before
        its first images are recorded.
        """
        self._out, self._settings = out, settings
        if anew:
            for name in _files(out):
                out.filesystem.rm(out.below(name).path)
        numbers = [int(m[1]) for name in _files(out) if (m := _PART.fullmatch(name))]
        self._next = max(numbers, default=-1) + 1
        self._waiting: list[Entry] = []
        self._write_part()

    def add(self, entry: Entry) -> None:
        """Record an image; written with others, at the latest with one that comes after a while."""
        self._waiting.append(entry)
        late = time.monotonic() - self._written > PART_SECONDS
        if late or len(self._waiting) >= PART_ROWS:
            self._write_part()

    def close(self) -> None:
        """Write what is waiting, and merge the parts into one file.

        The parts are removed when that file is there: whatever happens between, no row is lost.
        """
        self._write_part()
        table, _ = read(self._out)
        _write_file(self._out.below(MANIFEST), table.cast(schema(self._settings)))
        self._out.filesystem.rm(self._out.below(PARTS).path, recursive=True)

    def _write_part(self) -> None:
        table = to_table(self._waiting, self._settings)
        _write_file(self._out.below(f"{PARTS}/part-{self._next:06d}.parquet"), table)
        self._next += 1
        self._waiting.clear()
        self._written = time.monotonic()


def _files(out: Place) -> list[str]:
    """Relative paths of the files of the manifest, oldest first."""
    names = list_sizes(out.below(PARTS))
    parts = sorted(f"{PARTS}/{n}" for n in names if _PART.fullmatch(f"{PARTS}/{n}"))
    whole = [MANIFEST] if out.filesystem.exists(out.below(MANIFEST).path) else []
    return whole + parts


def _read_file(place: Place) -> "pa.Table":
    pq = require("pyarrow.parquet")
    try:
        table = pq.read_table(io.BytesIO(place.filesystem.cat_file(place.path)))
        if "source_version" not in table.column_names:
            pa = require("pyarrow")
            table = table.append_column("source_version", pa.nulls(table.num_rows, pa.string()))
        return table.cast(schema(Settings(**json.loads(table.schema.metadata[_METADATA_KEY]))))
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise OutputError(
            f"the manifest {place.name} cannot be read ({reason});"
            " remove it, or make the collection in another folder"
        ) from error


def _write_file(place: Place, table: "pa.Table") -> None:
    buffer = io.BytesIO()
    require("pyarrow.parquet").write_table(table, buffer, compression="zstd")
    write_whole(place, buffer.getvalue())


def _last_rows(table: "pa.Table") -> Any:  # noqa: ANN401 - a pa.Table; pyarrow has no types
    """For each source the last of its rows, sorted by source."""
    pa = require("pyarrow")
    numbered = table.append_column("row", pa.array(range(table.num_rows), pa.int64()))
    last = numbered.group_by("source").aggregate([("row", "max")]).sort_by("source")
    return table.take(last["row_max"])
