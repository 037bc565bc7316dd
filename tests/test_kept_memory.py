"""Memory that training keeps between steps: not given back at once, and not without end."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from pathlib import Path
from sbtcodec.runtime.memory import give_back, keep

def resident():
    (line,) = [l for l in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in l]
    return int(line.split()[1]) >> 10

keep()
pieces = [np.ones(1 << 25, np.uint8) for _ in range(20)]
pieces = pieces[::5]  # with what is in use between what is free
kept = resident()
give_back(1 << 30)
below = resident()
give_back(1 << 28)
print(kept, below, resident())
"""


def test_free_memory_is_kept_up_to_what_may_stay() -> None:
    try:
        _ = ctypes.CDLL(None).malloc_trim, ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError, TypeError):
        pytest.skip("not the C library that this is about")
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    kept, below, after = map(int, found.stdout.split())
    assert kept > 640 and abs(kept - below) < 32  # MiB
    assert after < kept - 400
