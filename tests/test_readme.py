"""README, CONTRIBUTING and docs/: every command in them runs, and what they say is so.

Commands and snippets run as they stand, tables are those of the committed results, exit codes those
of the help, and links lead somewhere.
"""

import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_samples import run_of
from PIL import Image

from benchmarks.readme_table import DOCUMENTS, PART, bpp_at, comparison, with_measurements
from sbtcodec.evaluation.curves import METRICS, mean_curve
from sbtcodec.evaluation.document import read_results
from sbtcodec.image.demo_picture import demo_picture
from sbtcodec.models.release import load_release

ROOT = Path(__file__).resolve().parent.parent
GUIDES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in ROOT.glob("docs/*.md")))
PAGES = (*GUIDES, "CHANGELOG.md", "weights/README.md", "benchmarks/README.md")
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
NOT_RUN = "<!-- not run -->"
# What may be marked as not run: what installs, downloads, trains or measures for long, and tests.
MAY_BE_SKIPPED = (
    "pip ",
    "git ",
    "curl ",
    "sbtcodec train",
    "sbtcodec bench",
    "sh tests/check.sh",
    "sh benchmarks/gpu.sh",
    "python -m benchmarks.pack",
)

BLOCK = re.compile(
    rf"(?P<mark>{re.escape(NOT_RUN)}\s*\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
RUNNERS = {"sh": ["sh", "-euc"], "python": [sys.executable, "-c"]}


def blocks(document):
    return [match.groupdict() for match in BLOCK.finditer(TEXTS[document])]


def run_blocks(document):
    return [b for b in blocks(document) if not b["mark"] and b["language"] in RUNNERS]


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 150


def test_the_readme_says_early_how_to_install():
    lines = TEXTS["README.md"].splitlines()
    assert next(i for i, line in enumerate(lines) if "pip install ." in line) < 30


@pytest.mark.parametrize("document", GUIDES)
def test_only_what_takes_a_network_or_hours_is_not_run(document):
    skipped = [block["code"] for block in blocks(document) if block["mark"]]
    lines = [line.strip() for code in skipped for line in code.splitlines()]
    for line in lines:
        assert not line or line.startswith(("#", *MAY_BE_SKIPPED)), line
    assert TEXTS[document].count(NOT_RUN) == len(skipped), "a mark stands before no block"


@pytest.mark.parametrize("document", GUIDES)
def test_every_block_is_of_a_language_that_is_run_or_is_output(document):
    fences = re.findall(r"^\s*(```.*|~~~.*)$", TEXTS[document], re.MULTILINE)
    assert set(fences[::2]) <= {"```sh", "```python", "```text"}
    assert set(fences[1::2]) <= {"```"}
    assert len(blocks(document)) == len(fences) / 2
    for block in blocks(document):
        commands = re.findall(r"^\$ ", block["code"], re.MULTILINE)
        assert block["language"] in RUNNERS or not commands


def test_the_readme_shows_both_interfaces():
    assert {"sh", "python"} <= {block["language"] for block in run_blocks("README.md")}


def test_ci_installs_and_tests_as_contributors_are_told_to():
    script = (ROOT / ".ci" / "run").read_text()
    for command in ("-e '.[dev]'", "sh tests/check.sh"):
        assert command in TEXTS["CONTRIBUTING.md"]
        assert command in script


def test_measurements_are_those_of_the_committed_results():
    counts = {name: len(PART.findall(text)) for name, text in TEXTS.items()}
    assert {name: count for name, count in counts.items() if count} == {
        "README.md": 1,
        "docs/results.md": 24,
    }
    for name in DOCUMENTS:
        assert with_measurements(TEXTS[name]) == TEXTS[name], (
            "run python -m benchmarks.readme_table"
        )


def test_results_were_measured_with_the_committed_weights():
    release = load_release()
    results = read_results(ROOT / "benchmarks" / "results" / "kodak.json")
    assert results.model_id == f"{release.name} ({release.sha256[:12]})"
    # seconds a picture: measured once for all that share a decoder, which docs/results.md says
    refined = read_results(ROOT / "benchmarks" / "results" / "kodak-effort5.json")
    assert refined.model_id.partition(" ")[0].split(".")[0] == release.name.split(".")[0]
    assert len(results.images) == len(refined.images) == 24


def test_the_readme_compares_codecs_of_one_run():
    assert PART.findall(TEXTS["README.md"]) == [("compared", "benchmarks/results/kodak.json")]
    outside = PART.sub("", TEXTS["README.md"])
    assert not re.search(r"\d (dB|%|bytes)", outside), "a measured number was typed"


PAIRS = [(0.1, 25.0), (0.4, 29.0), (0.9, 33.0)]


def test_rates_at_equal_quality_are_between_the_points_and_on_them():
    curve = mean_curve(run_of({"sbt": PAIRS}).codecs[0])
    psnr = METRICS[0]
    for rate, score in PAIRS:
        assert bpp_at(curve, psnr, score) == pytest.approx(rate)
    assert bpp_at(curve, psnr, 27.0) == pytest.approx(0.2)  # halfway in the logarithm
    assert math.isnan(bpp_at(curve, psnr, 24.9))
    assert math.isnan(bpp_at(curve, psnr, 33.1))


def test_a_comparison_has_bytes_and_a_dash_for_what_a_codec_does_not_reach():
    run = run_of({"sbt": PAIRS, "jpeg": [(0.2, 28.0), (0.6, 32.0)]})
    pixels = run.images[0].width * run.images[0].height
    rows = [line.split(" | ") for line in comparison(run).splitlines() if "|" in line]
    jpeg = next(row for row in rows if row[0] == "| JPEG")
    assert jpeg[1].replace(" ", "") == str(round(0.2 * pixels / 8))
    assert jpeg[2] == "–"


def test_exit_codes_are_those_of_the_help():
    from sbtcodec.cli import EXIT_CODES

    in_help = re.findall(r"^ +(\d+)  (.+)$", EXIT_CODES, re.MULTILINE)
    told = re.findall(r"^\| (\d+) \| (.+?) \|$", TEXTS["docs/commands.md"], re.MULTILINE)
    assert len(in_help) == 14
    assert told == in_help


def workplace(folder):
    """What a reader has at hand: a picture, photographs, the weights, and those of a run."""
    Image.fromarray(demo_picture()[128:384, 128:512]).save(folder / "photo.png")
    (folder / "photographs").mkdir()
    shutil.copy(folder / "photo.png", folder / "photographs")
    shutil.copytree(ROOT / "weights", folder / "weights")
    (folder / "runs" / "ten").mkdir(parents=True)
    (folder / "runs" / "ten" / "weights").symlink_to(folder / "weights")
    programs = folder / "bin"
    programs.mkdir()
    command = programs / "sbtcodec"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sbtcodec "$@"\n')
    command.chmod(0o755)
    paths = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    return os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}


WITH_BLOCKS = tuple(name for name in GUIDES if run_blocks(name))


def test_the_documents_with_commands_are_found():
    assert {"README.md", "CONTRIBUTING.md", "docs/commands.md", "docs/python.md"} <= {*WITH_BLOCKS}


@pytest.mark.parametrize("document", WITH_BLOCKS)
def test_every_block_runs(document, tmp_path):
    """In order and in one folder, which holds photo.png, so that blocks can build on another."""
    environment = workplace(tmp_path)
    for block in run_blocks(document):
        done = subprocess.run(
            [*RUNNERS[block["language"]], block["code"]],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{block['code']}\n{done.stdout}\n{done.stderr}"


def anchors(text):
    """The anchors of a document's headings, as they are made on GitHub."""
    found = []
    for heading in re.findall(r"^#+ +(.+?) *$", without_code(text), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(words if words not in found else f"{words}-{found.count(words)}")
    return found


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def broken_links(text, path):
    """The relative links of a document at a path that lead to no file or no heading."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        there = target.exists() and target.is_relative_to(ROOT)
        if there and anchor:
            own = text if target == path else target.read_text(encoding="utf-8")
            there = target.suffix == ".md" and anchor in anchors(own)
        if not there:
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", PAGES)
def test_every_link_leads_somewhere(document):
    assert broken_links(TEXTS[document], ROOT / document) == []


def test_links_that_lead_nowhere_are_found():
    text = "# A b, c\n[1](#a-b-c) [2](#b) [3](LICENSE) [4](none.md) [5](https://none.example)\n"
    text += "[6](docs/format.md#symbols) [7](docs/format.md#none) [8](../x) ```[9](none)```\n"
    text += "```sh\n# no heading\n[10](none)\n```\n[11](#no-heading)\n"
    broken = ["#b", "none.md", "docs/format.md#none", "../x", "none", "#no-heading"]
    assert broken_links(text, ROOT / "README.md") == broken


def test_every_document_is_in_the_index():
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", TEXTS["docs/README.md"]))
    documents = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert linked == documents
    assert "what-comes-back.md" in documents


def test_the_places_in_the_code_that_the_design_names_are_there():
    names = re.findall(r"`([\w/]+(?:\.py|/))`", TEXTS["docs/how-it-works.md"])
    places = [path for path in (ROOT / "sbtcodec").rglob("*") if "__pycache__" not in path.parts]
    assert len(names) > 30
    for name in names:
        found = [p for p in places if p.as_posix().endswith(f"/{name.rstrip('/')}")]
        assert any(place.is_dir() == name.endswith("/") for place in found), name
    rooms = {place.name for place in (ROOT / "sbtcodec").iterdir() if place.is_dir()}
    assert rooms - {"__pycache__", "weights"} <= {name.rstrip("/") for name in names}


@pytest.mark.parametrize("document", GUIDES)
def test_paths_that_are_named_are_there(document):
    for name in re.findall(r"`((?:sbtcodec|tests|benchmarks|docs)/[\w/.-]+)`", TEXTS[document]):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"python ((?:tests|benchmarks)/\w+\.py)", TEXTS[document]):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"weights/[\w.-]+\.safetensors", TEXTS[document]):
        assert (ROOT / name).is_file(), name
    for module in re.findall(r"python -m ((?:benchmarks|sbtcodec)[\w.]*)", TEXTS[document]):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
