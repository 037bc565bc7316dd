"""The package imports what it declares: another package's dependency may be gone tomorrow."""

import ast
import re
import sys
import tomllib

from stand_in import ROOT

# What a distribution is imported as, where that is not its name.
MODULES = {"pillow": "PIL", "pillow-jxl-plugin": "pillow_jxl"}


def declared(requirements):
    names = (re.match(r"[A-Za-z0-9-]+", requirement)[0].lower() for requirement in requirements)
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def imported():
    for path in sorted((ROOT / "sbtcodec").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                yield path.relative_to(ROOT), name.partition(".")[0]


def test_everything_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    extras = (optional[name] for name in ("bench", "ray", "light"))
    known = declared(sum(extras, project["dependencies"]))
    found = [
        f"{path}: {name}"
        for path, name in imported()
        if name not in sys.stdlib_module_names and name not in known | {"sbtcodec"}
    ]
    assert not found
