"""The command line: what is common to all commands; each command has a file of its own.

What they share is in `sbtcodec.cli.common`; `reference` writes their help into docs/commands.md.
Nothing here, and no command before it needs to, imports torch: help and errors come at once.
"""

import os
import sys
import warnings
from typing import Annotated

import typer

from sbtcodec import __version__
from sbtcodec.cli.bench import bench
from sbtcodec.cli.common.addresses import LocalCommand
from sbtcodec.cli.common.failures import (
    BUG_EXIT_CODE,
    INTERRUPTED_EXIT_CODE,
    SYSTEM_EXIT_CODE,
    explain,
)
from sbtcodec.cli.common.report import tell
from sbtcodec.cli.compare import compare
from sbtcodec.cli.complete import complete
from sbtcodec.cli.compress import compress
from sbtcodec.cli.decompress import decompress
from sbtcodec.cli.demo import demo
from sbtcodec.cli.info import info
from sbtcodec.cli.models import models
from sbtcodec.cli.sample import sample
from sbtcodec.cli.tokens import tokens
from sbtcodec.cli.train import train
from sbtcodec.cli.verify import verify

HELP_WIDTH = 80  # whatever the terminal: help reads the same everywhere
EXIT_CODES = f"""\b
Exit codes:
    0  done
    {SYSTEM_EXIT_CODE}  the system refused: no memory, a closed pipe
    2  wrong usage of the command line
    3  not a readable .sbt file: cut, damaged, missing or of an unknown version
    4  the file needs a model that is not installed
    5  not an image that can be read, or not a format that can be written
    6  the output exists already (see --force) or cannot be written: a full disk, say
    7  the weights are missing, damaged or of another version
    8  the device is not there
    9  a data set is missing or damaged
   10  the picture differs from the original more than allowed
   11  no file of the image has the size or the score that was asked for
   {BUG_EXIT_CODE}  a bug in sbtcodec (SBTCODEC_DEBUG=1 shows where)
  {INTERRUPTED_EXIT_CODE}  interrupted"""

app = typer.Typer(
    name="sbtcodec",
    help="Compress images into .sbt files, and back, with a learned codec.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings={"terminal_width": HELP_WIDTH, "help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text keeps the layout of the exit codes, and is quick
)
COMMANDS = (
    *(compress, decompress, info, verify, compare, tokens, sample, complete),
    *(models, demo, bench, train),
)
for command in COMMANDS:
    app.command(cls=LocalCommand)(command)


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
    if not sys.warnoptions:
        # What Pillow thinks of an image is said by our errors and notices, where it matters.
        warnings.filterwarnings("ignore", module=r"PIL\.")
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
            tell("interrupted")
        raise
    except Exception as error:  # noqa: BLE001 - the outermost frame: bugs end here
        if isinstance(error, OSError):
            # Python flushes once more at its end, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if isinstance(error, BrokenPipeError):
                sys.exit(SYSTEM_EXIT_CODE)
        sentence, exit_code = explain(error)
        tell(sentence)
        sys.exit(exit_code)
