"""What to say of an error of any kind, and the exit code that goes with it."""

import errno
import os
import traceback

from sbtcodec.cli.common.advice import with_options
from sbtcodec.errors import OutputError, SbtError

SYSTEM_EXIT_CODE = 1
BUG_EXIT_CODE = 70
INTERRUPTED_EXIT_CODE = 130

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def explain(error: BaseException) -> tuple[str, int]:
    """Return a sentence of one line, and the exit code; SBTCODEC_DEBUG=1 prints the traceback."""
    if os.environ.get("SBTCODEC_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    sentence, exit_code = _explain(error)
    return " ".join(sentence.splitlines()), exit_code


def _explain(error: BaseException) -> tuple[str, int]:
    if isinstance(error, SbtError):
        return with_options(str(error)), error.exit_code
    if isinstance(error, OSError) and error.errno in _FULL:  # as where a file is written
        return f"the output cannot be written: {error.strerror}", OutputError.exit_code
    if isinstance(error, OSError):
        return f"the system refused: {error}", SYSTEM_EXIT_CODE
    if _is_out_of_memory(error):
        return (
            "not enough memory for an image of this size; try a smaller one, or --device cpu",
            SYSTEM_EXIT_CODE,
        )
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return (
        f"this is a bug ({reason}); set SBTCODEC_DEBUG=1 to see where, and please report it",
        BUG_EXIT_CODE,
    )


def _is_out_of_memory(error: BaseException) -> bool:
    # torch has an error of its own on CUDA, and a plain RuntimeError on the CPU.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )
