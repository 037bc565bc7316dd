#!/bin/sh
# Everything that must pass before a change is merged: format, lint, types, imports, tests.
set -eu
cd "$(dirname "$0")/.."
ruff format --check
ruff check
mypy -p sbtcodec
lint-imports
pytest
