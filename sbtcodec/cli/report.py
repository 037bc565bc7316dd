"""What commands print: results to standard output, warnings to standard error."""

import json
import sys
from typing import Any


def warn(name: object, notice: str) -> None:
    """Print a warning about a file to standard error."""
    print(f"sbtcodec: warning: {name}: {notice}", file=sys.stderr)


def print_json(fields: dict[str, Any]) -> None:
    """Print a JSON object on one line; file names are strings in it."""
    print(json.dumps(fields, default=str))


def number(value: int) -> str:
    """Return a whole number with a space between thousands."""
    return f"{value:,}".replace(",", " ")
