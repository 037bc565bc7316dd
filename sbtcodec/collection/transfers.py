"""Files read ahead of a worker that is coding, and written behind it, by threads of its own.

A store on a network takes longer to answer than a small image takes to be coded; a worker that
waited for each answer would be idle for most of the time.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath

from sbtcodec.collection.files import read_whole, write_whole
from sbtcodec.collection.plan import Item
from sbtcodec.collection.storage import Place

AHEAD_FILES = 4
AHEAD_BYTES = 2**26  # of the files read ahead, without the first of them
UNKNOWN_BYTES = AHEAD_BYTES // AHEAD_FILES


class Transfers:
    """Reads and writes of one worker.

    File systems that are not made for several calls at a time get one after another.
    """

    def __init__(self, places: Sequence[Place], mark: str = "") -> None:
        """Start no thread yet.

        Args:
            places: one of each file system, those of the images and that of the outputs.
            mark: of temporary files, see `write_whole`.
        """
        together = all(place.takes_several_calls for place in places)
        self._threads = ThreadPoolExecutor(AHEAD_FILES if together else 1)
        self._mark = mark
        self._folders: set[str] = set()

    def read(self, items: Sequence[Item]) -> Iterator[tuple[Item, Future[bytes]]]:
        """Yield every item with its content, which may still be coming; next ones are asked for.

        The content's error is `ImageError`.
        """
        coming: deque[tuple[Item, Future[bytes]]] = deque()
        waiting = deque(items)
        while waiting or coming:
            while waiting and (not coming or self._has_room([i for i, _ in coming], waiting[0])):
                item = waiting.popleft()
                coming.append((item, self._threads.submit(read_whole, item.place)))
            yield coming.popleft()

    def write(self, place: Place, data: bytes) -> Future[None]:
        """Begin to write a file; its error is `OutputError`."""
        return self._threads.submit(self._write, place, data)

    @staticmethod
    def _has_room(coming: Sequence[Item], another: Item) -> bool:
        sizes = [i.size if i.size >= 0 else UNKNOWN_BYTES for i in (*coming, another)]
        return len(sizes) <= AHEAD_FILES and sum(sizes) <= AHEAD_BYTES

    def _write(self, place: Place, data: bytes) -> None:
        folder = str(PurePosixPath(place.path).parent)
        # asked for once: a store answers each time, and has no folders anyway
        write_whole(place, data, self._mark, make_folder=folder not in self._folders)
        self._folders.add(folder)
