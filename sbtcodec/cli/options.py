"""Options that several commands share."""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class Device(StrEnum):
    """Where the networks run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


DeviceOption: TypeAlias = Annotated[
    Device, typer.Option("--device", help="Where to run; auto takes a GPU if there is one.")
]
ForceOption: TypeAlias = Annotated[
    bool, typer.Option("--force", "-f", help="Replace the output if it exists.")
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of text.")
]
QuietOption: TypeAlias = Annotated[
    bool, typer.Option("--quiet", help="Print nothing but warnings and errors.")
]
