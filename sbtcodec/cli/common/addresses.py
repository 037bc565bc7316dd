"""Addresses such as `s3://bucket/photographs` among the arguments: told, where paths are taken."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from sbtcodec.cli.common.outputs import usage_error

# A path has lost a slash of `://`; a letter alone is a drive. Chains are those of fsspec.
_ADDRESS = re.compile(r"(?P<chain>(?:\w+::)*)(?P<scheme>[A-Za-z][\w+.-]+):/+(?P<rest>.*)")


class LocalCommand(TyperCommand):
    """A command that takes files of this machine, unless another engine is asked for."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer has a click of its own, or not
        """Run the command.

        Raises `typer.BadParameter` if an argument is an address.
        """
        engine = ctx.params.get("engine")
        if engine in (None, "local"):
            for value in _texts(ctx.params.values()):
                _refuse(value, self.name or "", has_engine=engine is not None)
        return super().invoke(ctx)


def _texts(values: Any) -> Iterator[str]:  # noqa: ANN401 - parsed arguments, of many types
    """What was given as text or as a path, also in lists."""
    for value in values:
        if isinstance(value, (str, Path)):
            yield str(value)
        elif isinstance(value, (list, tuple)):
            yield from _texts(value)


def _refuse(text: str, command: str, *, has_engine: bool) -> None:
    """Say what to do about an address; nothing about what may be a path of this machine."""
    found = _ADDRESS.fullmatch(text)
    if found is None or os.path.lexists(text) or os.path.isdir(os.path.dirname(text)):
        return
    address = f"{found['chain']}{found['scheme']}://{found['rest']}"
    if found["scheme"] == "file" and not found["chain"]:
        raise usage_error(f"{address} is an address, expected a path; give /{found['rest']}")
    if has_engine:
        raise usage_error(
            f"{address} is not on this machine, and only --engine ray takes addresses; give"
            " --engine ray, and a folder or an address as --out (pip install 'sbtcodec[ray]'), or"
            " copy the files here first"
        )
    raise usage_error(
        f"{address} is not on this machine, and {command} takes only what is (of all commands,"
        " compress --engine ray alone takes addresses); copy it here first"
    )
