"""The command line: what is common to all commands; each command has a file of its own.

Nothing here, and no command before it needs to, imports torch: help and errors come at once.
"""

import os
import sys
import traceback
from typing import Annotated

import typer

from sbtcodec import __version__
from sbtcodec.cli.bench import bench
from sbtcodec.cli.compare import compare
from sbtcodec.cli.compress import compress
from sbtcodec.cli.decompress import decompress
from sbtcodec.cli.demo import demo
from sbtcodec.cli.info import info
from sbtcodec.cli.train import train
from sbtcodec.errors import SbtError

SYSTEM_EXIT_CODE = 1
BUG_EXIT_CODE = 70
INTERRUPTED_EXIT_CODE = 130

EXIT_CODES = f"""\b
Exit codes:
    0  done
    {SYSTEM_EXIT_CODE}  the system refused: no memory, a full disk, a closed pipe
    2  wrong usage of the command line
    3  not a readable .sbt file: cut, damaged, missing or of an unknown version
    4  the file needs a model that is not installed
    5  not an image that can be read, or not a format that can be written
    6  the output exists already (see --force) or cannot be written
    7  the weights are missing, damaged or of another version
    8  the device is not there
    9  a data set is missing or damaged
   {BUG_EXIT_CODE}  a bug in sbtcodec (SBTCODEC_DEBUG=1 shows where)
  {INTERRUPTED_EXIT_CODE}  interrupted"""

app = typer.Typer(
    name="sbtcodec",
    help="Compress images into .sbt files, and back, with a learned codec.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text keeps the layout of the exit codes, and is quick
)
for command in (compress, decompress, info, compare, demo, bench, train):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sbtcodec {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: whatever goes wrong is one sentence and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")  # file names need not be printable
    try:
        try:
            app(prog_name="sbtcodec")
        finally:
            sys.stdout.flush()  # here, where a closed pipe can still be caught
    except SystemExit as error:  # how the application ends, also when all went well
        if error.code == INTERRUPTED_EXIT_CODE:
            _tell("interrupted")
        raise
    except SbtError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(SYSTEM_EXIT_CODE)
        _fail(f"the system refused: {error}", SYSTEM_EXIT_CODE)
    except Exception as error:  # noqa: BLE001 - the outermost frame: bugs end here
        if _is_out_of_memory(error):
            _fail(
                "not enough memory for an image of this size; try a smaller one, or --device cpu",
                SYSTEM_EXIT_CODE,
            )
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        _fail(
            f"this is a bug ({reason}); set SBTCODEC_DEBUG=1 to see where, and please report it",
            BUG_EXIT_CODE,
        )


def _fail(sentence: str, exit_code: int) -> None:
    if os.environ.get("SBTCODEC_DEBUG", "0") not in ("", "0"):
        traceback.print_exc()
    _tell(sentence)
    sys.exit(exit_code)


def _tell(sentence: str) -> None:
    print("sbtcodec:", " ".join(sentence.splitlines()), file=sys.stderr)


def _is_out_of_memory(error: Exception) -> bool:
    # torch has an error of its own on CUDA, and a plain RuntimeError on the CPU.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator" in str(error)
    )
