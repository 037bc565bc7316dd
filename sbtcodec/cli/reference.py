"""The help of all commands as Markdown: `python -m sbtcodec.cli.reference`.

With `--write docs/commands.md`, it replaces what stands between the two markers in that file.
"""

import argparse
import re
import sys
from pathlib import Path

import typer

from sbtcodec.cli import app
from sbtcodec.image.files import write_atomically

START, END = "<!-- help -->", "<!-- end help -->"
_PART = re.compile(rf"(?<={re.escape(START)}\n).*?(?={re.escape(END)})", re.DOTALL)


def reference() -> str:
    """Return a section for each command, holding its help, as Markdown."""
    group = typer.main.get_command(app)
    commands = getattr(group, "commands", {})
    parts = []
    with group.make_context("sbtcodec", ["--help"], resilient_parsing=True) as root:
        for name, command in commands.items():
            with command.make_context(name, [], parent=root, resilient_parsing=True) as context:
                lines = [line.rstrip() for line in command.get_help(context).splitlines()]
            parts.append("\n".join((f"### sbtcodec {name}", "", "```text", *lines, "```", "")))
    return "\n" + "\n".join(parts) + "\n"


def has_markers(text: str) -> bool:
    """Whether a document has a place for the reference."""
    return _PART.search(text) is not None


def with_reference(text: str) -> str:
    """Return a document with the reference between its markers.

    Raises `ValueError` if it has none.
    """
    if not has_markers(text):
        raise ValueError(f"found no lines {START} and {END}, expected one of each")
    return _PART.sub(lambda _: reference(), text, count=1)


def main() -> None:
    """Print the reference, or write it into a document."""
    parser = argparse.ArgumentParser(description="The help of all commands as Markdown.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it between the markers")
    path = parser.parse_args().write
    if path is None:
        print(reference())
        return
    try:
        text = with_reference(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path}: {error}")
    write_atomically(path, text.encode(), force=True)


if __name__ == "__main__":
    main()
