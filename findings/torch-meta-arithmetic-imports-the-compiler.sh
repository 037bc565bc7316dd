#!/bin/sh
# torch 2.13.0: one multiplication on the meta device imports torch's compiler, over a second's work.
#
# Building a module under `torch.device("meta")` and loading its weights with `assign=True` is the known
# way to load a model without computing weights that are thrown away. `torch.empty`, `torch.zeros` and
# `nn.Linear` on the meta device import nothing. But the first arithmetic on a meta tensor, such as
# `torch.empty(3, device="meta") * 2`, imports some 800 modules, torch._dynamo and sympy among them
# (seen: 822 modules, 1.5 to 1.8 s on two cores). So a module whose constructor scales its initial
# weights, `nn.Parameter(torch.empty(...) * gain)` say, loads slower under the meta device than with the
# weights computed (seen: 1.6 s instead of 0.28 s), and nothing of the loading code shows why.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import sys
import time

import torch

before = set(sys.modules)
made = torch.empty(3, device="meta")
torch.zeros(3, device="meta")
torch.nn.Linear(3, 3, device="meta")
assert set(sys.modules) == before, "making meta tensors imports something"

start = time.perf_counter()
made * 2
seconds = time.perf_counter() - start
new = set(sys.modules) - before
print(f"{len(new)} modules in {seconds:.1f} s")
assert len(new) > 300, "arithmetic on meta tensors imports little now"
assert {"torch._dynamo", "sympy"} <= new

start = time.perf_counter()
made * 2
assert time.perf_counter() - start < seconds / 10  # the second one is quick
END
