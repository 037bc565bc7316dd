"""What the argument of an output means: a file, a stream, or a folder for the usual name."""

import os

import typer

from sbtcodec.cli.common.paths import Place, default_output, output_place
from sbtcodec.cli.common.report import printable


def named_output(
    argument: str, source: Place, extension: str, *, keep_extension: bool = False
) -> Place:
    """Return the output that an option names: a file, or a folder for one of the usual name.

    Raises `typer.BadParameter` if a folder is meant that is not there, or the source has no name.
    """
    output = output_place(argument)
    if output == "-" or not (means_folder(argument) or os.path.isdir(argument)):
        return output
    check_folder(argument)
    if source == "-":
        raise usage_error(
            f"{argument} is a folder, and standard input has no name; name a file in it",
            param_hint="--output",
        )
    return output / default_output(source, extension, keep_extension=keep_extension).name


def usage_error(sentence: str, param_hint: str | None = None) -> typer.BadParameter:
    """The error of wrong usage, which names files and which typer prints as it is."""
    return typer.BadParameter(printable(sentence), param_hint=param_hint)


def means_folder(argument: str) -> bool:
    """Whether an argument says that it is a folder."""
    return argument.endswith(("/", os.sep))


def check_folder(argument: str) -> None:
    """Fail if a folder is not there.

    Raises `typer.BadParameter`.
    """
    if not os.path.isdir(argument):
        raise usage_error(
            f"the folder {argument} does not exist; create it, or give --out-dir {argument}"
        )
