"""The README's table, made from the committed results.

    python benchmarks/readme_table.py

writes the part of README.md between `<!-- results: FILE -->` and `<!-- end of results -->` anew.
"""

import re
from pathlib import Path

from sbtcodec.evaluation.document import read_results
from sbtcodec.evaluation.table import markdown_table

ROOT = Path(__file__).resolve().parent.parent
PART = re.compile(r"<!-- results: (\S+) -->\n.*?<!-- end of results -->", re.DOTALL)


def with_table(readme: str) -> str:
    """The README with its table made from the results file that it names."""
    named = PART.search(readme)
    if named is None:
        raise SystemExit("README.md has no results part")
    table = markdown_table(read_results(ROOT / named[1]))
    part = f"<!-- results: {named[1]} -->\n\n{table}\n<!-- end of results -->"
    return PART.sub(lambda _: part, readme)


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
