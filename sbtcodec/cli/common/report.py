"""What commands print: results to standard output, warnings and progress to standard error."""

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tqdm import tqdm


def tell(sentence: str) -> None:
    """Print a sentence of the program itself to standard error, on one line."""
    print("sbtcodec:", printable(" ".join(sentence.splitlines())), file=sys.stderr)


def warn(name: object, notice: str) -> None:
    """Print a warning about a file to standard error."""
    print(printable(f"sbtcodec: warning: {name}: {notice}"), file=sys.stderr)


def printable(text: str) -> str:
    """Return a line with what could steer a terminal escaped: names of files may hold anything."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def print_json(fields: dict[str, Any]) -> None:
    """Print a JSON object on one line; file names are strings in it."""
    print(to_json(fields))


def to_json(fields: dict[str, Any]) -> str:
    """Return a JSON object on one line; file names are strings in it."""
    return json.dumps(fields, default=str)


def number(value: int) -> str:
    """Return a whole number with a space between thousands."""
    return f"{value:,}".replace(",", " ")


class Screen:
    """Prints lines, above a progress bar where standard error is a terminal."""

    def __init__(self, files: int = 0, size: int = 0) -> None:
        """Show progress over a number of files, of `size` bytes in all; none for no files."""
        self._files, self._size = files, size
        self._finished, self._pixels, self._start = 0, 0, time.perf_counter()
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._files > 1 and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            # Bytes tell the time that is left better than files, which differ in size.
            form = "{desc}  {bar:20}  {remaining} left"
            self._bar = tqdm(total=self._size, bar_format=form, leave=False, file=sys.stderr)
            self._show()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def advance(self, size: int, pixels: int) -> None:
        """Count one file of so many bytes, and the pixels of its image, as finished."""
        self._finished += 1
        self._pixels += pixels
        if self._bar is not None:
            self._bar.update(size)
            self._show()

    def out(self, line: str) -> None:
        """Print a line to standard output, see `printable`."""
        line = printable(line)
        if self._bar is None:
            print(line)
        else:
            self._bar.write(line, file=sys.stdout)

    def err(self, line: str) -> None:
        """Print a line to standard error, see `printable`."""
        line = printable(line)
        if self._bar is None:
            print(line, file=sys.stderr)
        else:
            self._bar.write(line, file=sys.stderr)

    def warn(self, name: object, notice: str) -> None:
        """Print a warning about a file to standard error."""
        self.err(f"sbtcodec: warning: {name}: {notice}")

    def _show(self) -> None:
        assert self._bar is not None
        rate = self._pixels / 1e6 / max(time.perf_counter() - self._start, 1e-9)
        text = f"{self._finished} of {self._files} files  {rate:.2f} MP/s"
        self._bar.set_description_str(text)
