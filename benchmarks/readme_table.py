"""The README's measurements, made from the committed results.

    python benchmarks/readme_table.py

writes anew the parts of README.md that end with `<!-- end -->` and begin with `<!-- results: FILE
-->` (BD-rates and points) or `<!-- printed: FILE -->` (what a script printed).
"""

import re
from pathlib import Path

from sbtcodec.evaluation.document import read_results
from sbtcodec.evaluation.table import markdown_table

ROOT = Path(__file__).resolve().parent.parent
PART = re.compile(r"<!-- (results|printed): (\S+) -->\n.*?<!-- end -->", re.DOTALL)


def with_measurements(readme: str) -> str:
    """The README with every measured part made from the file that it names."""

    def part(found: re.Match[str]) -> str:
        kind, name = found.groups()
        if kind == "results":
            made = markdown_table(read_results(ROOT / name))
        else:
            printed = (ROOT / name).read_text(encoding="utf-8")
            made = f"```text\n{printed.rstrip()}\n```\n"
        return f"<!-- {kind}: {name} -->\n\n{made}\n<!-- end -->"

    return PART.sub(part, readme)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_measurements(path.read_text(encoding="utf-8")), encoding="utf-8")
