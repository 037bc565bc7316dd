"""The README: every command and snippet in it runs, and its tables are those of the program."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image

from benchmarks.readme_table import PART, with_measurements
from sbtcodec.evaluation.document import read_results
from sbtcodec.image.demo_picture import demo_picture
from sbtcodec.models.release import load_release

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOT_RUN = "<!-- not run -->"
# What may be marked as not run: what installs, downloads, trains or measures for long, and tests.
MAY_BE_SKIPPED = ("pip ", "git ", "curl ", "sbtcodec train", "sbtcodec bench", "sh tests/check.sh")

BLOCK = re.compile(
    rf"(?P<mark>{re.escape(NOT_RUN)}\s*\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


def blocks():
    return [match.groupdict() for match in BLOCK.finditer(README)]


def test_only_what_takes_a_network_or_hours_is_not_run():
    skipped = [block["code"] for block in blocks() if block["mark"]]
    lines = [line.strip() for code in skipped for line in code.splitlines()]
    for line in lines:
        assert not line or line.startswith(("#", *MAY_BE_SKIPPED)), line
    assert README.count(NOT_RUN) == len(skipped), "a mark stands before no block"


def test_the_readme_shows_both_interfaces():
    run = [block["language"] for block in blocks() if not block["mark"]]
    assert {"sh", "python"} <= set(run)


def test_ci_installs_and_tests_as_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text()
    for command in ("-e '.[dev]'", "sh tests/check.sh"):
        assert command in README
        assert command in script


def test_measurements_are_those_of_the_committed_results():
    assert len(PART.findall(README)) == 10
    assert with_measurements(README) == README


def test_results_were_measured_with_the_committed_weights():
    release = load_release()
    results = read_results(ROOT / "benchmarks" / "results" / "kodak.json")
    assert results.model_id == f"{release.name} ({release.sha256[:12]})"
    # seconds a picture: measured once for all that share a decoder, which the README says
    refined = read_results(ROOT / "benchmarks" / "results" / "kodak-effort5.json")
    assert refined.model_id.partition(" ")[0].split(".")[0] == release.name.split(".")[0]
    assert len(results.images) == len(refined.images) == 24


def test_exit_codes_are_those_of_the_help():
    from sbtcodec.cli import EXIT_CODES

    in_help = re.findall(r"^ +(\d+)  (.+)$", EXIT_CODES, re.MULTILINE)
    in_readme = re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.MULTILINE)
    assert len(in_help) == 14
    assert in_readme == in_help


def test_every_block_runs(tmp_path):
    """In order and in one folder, which holds photo.png, so that blocks can build on another."""
    Image.fromarray(demo_picture()[128:384, 128:512]).save(tmp_path / "photo.png")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "sbtcodec"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sbtcodec "$@"\n')
    command.chmod(0o755)
    paths = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}
    runners = {"sh": ["sh", "-euc"], "python": [sys.executable, "-c"]}
    for block in blocks():
        if block["mark"] or block["language"] not in runners:
            continue
        done = subprocess.run(
            [*runners[block["language"]], block["code"]],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{block['code']}\n{done.stdout}\n{done.stderr}"
