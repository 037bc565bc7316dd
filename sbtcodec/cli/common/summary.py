"""The summary of a batch: what was done, what failed and why, and the exit code."""

from dataclasses import dataclass, field
from typing import Any

from sbtcodec.cli.common.failures import INTERRUPTED_EXIT_CODE, SYSTEM_EXIT_CODE
from sbtcodec.cli.common.report import Screen, number, to_json


@dataclass
class Summary:
    """Counts over the files of a batch; sizes in bytes.

    Attributes:
        leading_exit_code: the exit code whenever a failure has it.
        done: files that went well.
        skipped: files whose output existed.
        failures: a sentence and an exit code each.
        before: bytes of the inputs that went well.
        after: bytes of their outputs.
        coded: bytes of their `.sbt` files.
        pixels: of their images.
        seconds: for everything, loading the model included.
        interrupted: Ctrl-C ended the batch early.
    """

    leading_exit_code: int | None = None
    done: int = 0
    skipped: int = 0
    failures: list[tuple[str, int]] = field(default_factory=list)
    before: int = 0
    after: int = 0
    coded: int = 0
    pixels: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def add(self, before: int, after: int, coded: int, pixels: int) -> None:
        """Count a file that went well."""
        self.done += 1
        self.before += before
        self.after += after
        self.coded += coded
        self.pixels += pixels

    @property
    def exit_code(self) -> int:
        """What the program ends with: see `run_batch`."""
        if self.interrupted:
            return INTERRUPTED_EXIT_CODE
        codes = {code for _, code in self.failures}
        if self.leading_exit_code in codes:
            return self.leading_exit_code or 0
        if len(codes) > 1:
            return SYSTEM_EXIT_CODE
        return codes.pop() if codes else 0

    def fields(self) -> dict[str, Any]:
        """The summary for machines."""
        return {
            "done": self.done,
            "skipped": self.skipped,
            "failed": len(self.failures),
            "interrupted": self.interrupted,
            "bytes_before": self.before,
            "bytes_after": self.after,
            "bpp": round(8 * self.coded / self.pixels, 6) if self.pixels else None,
            "pixels": self.pixels,
            "seconds": round(self.seconds, 3),
            "megapixels_per_second": round(self._rate, 3),
            "exit_code": self.exit_code,
        }

    def print(self, screen: Screen, *, json: bool, quiet: bool, listed: bool) -> None:
        """Print the failures (if `listed`) to standard error, and the summary."""
        if listed:
            for sentence, _ in self.failures:
                screen.err(f"sbtcodec: {sentence}")
        if json:
            screen.out(to_json({"summary": self.fields()}))
        elif not quiet:
            screen.out(self._line())

    @property
    def _rate(self) -> float:
        return self.pixels / 1e6 / self.seconds if self.seconds > 0 else 0.0

    def _line(self) -> str:
        parts = [f"{self.done} done, {self.skipped} skipped, {len(self.failures)} failed"]
        if self.done:
            after = f" -> {number(self.after)}" if self.after else ""
            parts.append(f"{number(self.before)}{after} bytes")
            parts.append(f"{8 * self.coded / self.pixels:.3f} bpp")
        parts.append(f"{self.seconds:.2f} s")
        if self.done:
            parts.append(f"{self._rate:.2f} MP/s")
        return "  ".join(parts)
