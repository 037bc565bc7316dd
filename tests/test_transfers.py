"""Reading ahead and writing behind, with a file system in memory that counts what it is asked."""

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from sbtcodec.errors import ImageError, OutputError

memory = pytest.importorskip("fsspec.implementations.memory")

from sbtcodec.collection import transfers
from sbtcodec.collection.plan import Item
from sbtcodec.collection.storage import Place, find_place
from sbtcodec.collection.transfers import AHEAD_BYTES, AHEAD_FILES, Transfers


class Store(memory.MemoryFileSystem):
    """A store whose reads wait until they are let go; it says that it serves several threads."""

    cachable = False
    async_impl = True

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.asked: list[str] = []
        self.folders: list[str] = []
        self.go = threading.Event()

    def cat_file(self, path: str, *arguments: Any, **options: Any) -> bytes:
        self.asked.append(path)
        self.go.wait(60)
        return path.encode()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self.folders.append(path)
        super().makedirs(path, exist_ok=exist_ok)


def items(store: Store, size: int, count: int = 10) -> list[Item]:
    return [Item(Place(store, f"/in/{n}"), size, f"{n}.sbt") for n in range(count)]


@pytest.mark.parametrize(
    ("size", "ahead"),
    [(100, AHEAD_FILES), (AHEAD_BYTES, 1), (AHEAD_BYTES // 2, 2), (-1, AHEAD_FILES)],
)
def test_a_few_files_of_bounded_size_are_read_ahead_in_order(size: int, ahead: int) -> None:
    store = Store()
    reading = Transfers([Place(store, "/in")]).read(items(store, size))
    first, content = next(reading)
    store.go.set()
    assert content.result() == b"/in/0"
    assert len(store.asked) <= ahead
    everything = [(first, content), *reading]
    assert [item.path for item, _ in everything] == [f"{n}.sbt" for n in range(10)]
    assert [c.result() for _, c in everything] == [f"/in/{n}".encode() for n in range(10)]
    assert sorted(store.asked) == sorted({f"/in/{n}" for n in range(10)})


def test_file_systems_for_one_call_at_a_time_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(transfers, "ThreadPoolExecutor", threads.append)
    store = Store()
    local = find_place("here", OutputError)
    for places in ([Place(store, "/in"), local], [Place(memory.MemoryFileSystem(), "/in"), local]):
        Transfers(places)
    assert threads == [AHEAD_FILES, 1]


def test_a_folder_is_asked_for_once_and_files_are_whole() -> None:
    store = Store()
    writer = Transfers([Place(store, "/out")])
    for n in range(3):
        writer.write(Place(store, f"/out/{n}"), b"%d" % n).result()
    assert store.folders == ["/out"]
    store.go.set()
    assert sorted(store.find("/out")) == ["/out/0", "/out/1", "/out/2"]


def test_errors_come_with_what_failed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    place = find_place(str(tmp_path), OutputError)
    transfer = Transfers([place])
    ((_, content),) = transfer.read([Item(place.below("nowhere.png"), 1, "nowhere.sbt")])
    writing: Future[None] = transfer.write(place.below("file/a.sbt"), b"data")
    with pytest.raises(ImageError, match="nowhere.png cannot be read"):
        content.result()
    with pytest.raises(OutputError, match="a.sbt cannot be written"):
        writing.result()
