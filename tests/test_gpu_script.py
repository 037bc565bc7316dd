"""The script for a borrowed GPU, as far as it goes without one: every part, in order, in time."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage import data
from stand_in import ROOT

from benchmarks.pack import write_packs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("timeout") is None, reason="the script needs timeout"),
]


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
    write_packs(folder, folder / "packs")
    return folder / "packs" / "pack-1.safetensors"


def script(out: Path, packs: Path, *options: str) -> tuple[list[dict[str, Any]], float]:
    """Run it with tiny sizes; the lines of results, and seconds."""
    command = ["sh", "benchmarks/gpu.sh", "--tiny", "--device", "cpu", "--out", str(out)]
    command += ["--data", str(packs), "--valid", str(packs), "--limit", "1", *options]
    start = time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, check=True, env=environment)
    took = time.monotonic() - start
    return [json.loads(s) for s in (out / "results.jsonl").read_text().splitlines()], took


def ends(results: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(line["part"], line["exit"]) for line in results if "exit" in line]


def test_every_part_leaves_its_results(tmp_path: Path, packs: Path) -> None:
    results, _ = script(tmp_path, packs, "--seconds", "590", "--train-seconds", "30")
    found = dict(ends(results))
    assert list(found) == ["check", "train", "evaluate", "tests", "speed", "rates"]
    # without a GPU its tests are skipped or fail; what follows is done all the same
    assert all(code == 0 for name, code in found.items() if name != "tests"), results
    by_part = {line["part"]: line for line in results if "exit" not in line}
    assert by_part["check"]["missing"] == []
    assert by_part["train"]["files"] == ["averaged-1.safetensors"]
    assert "bd_rate_percent" in by_part["evaluate"]
    assert len([line for line in results if line["part"] == "speed" and "width" in line]) == 4
    assert (tmp_path / "log.jsonl").read_text()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) <= 8
    assert max(path.stat().st_size for path in files) <= 16 * 2**20


def test_the_script_ends_in_time_and_a_part_that_fails_stops_no_other(
    tmp_path: Path, packs: Path
) -> None:
    options = ("--order", "train speed tests", "--train-seconds", "15", "--seconds", "40")
    results, took = script(tmp_path, packs.with_name("none.safetensors"), *options)
    assert took < 48  # and not until the tests end
    parts = ends(results)
    assert [name for name, _ in parts] == ["train", "speed", "tests"]
    assert parts[0][1] == 1
    assert "is not a pack of photographs" in (tmp_path / "log.txt").read_text()
