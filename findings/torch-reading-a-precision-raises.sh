#!/bin/sh
# torch 2.13.0: reading the precision of float32 products raises an error once a program has set it by
# the newer interface for one backend.
#
# `torch.get_float32_matmul_precision()` is what a library asks that wants full precision for a while and
# to give back what it found. After `torch.backends.mkldnn.matmul.fp32_precision = "bf16"`, which the
# documentation recommends over the older calls, the question itself is a RuntimeError about a mix of
# two interfaces, though the program used one alone and the library set nothing. The same follows from
# `torch.backends.cuda.matmul.fp32_precision = "tf32"` on a machine without a card. Setting the old
# value is no way out: it changes the program's choice. Products in float64 are out of reach of both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
for setting in \
    'mkldnn.matmul.fp32_precision = "bf16"' \
    'cuda.matmul.fp32_precision = "tf32"'; do
  "$folder/venv/bin/python" - "$setting" <<'END'
import sys

import torch

assert torch.get_float32_matmul_precision() == "highest"
exec(f"torch.backends.{sys.argv[1]}")
try:
    found = torch.get_float32_matmul_precision()
except RuntimeError as error:
    print(f"{sys.argv[1]}: {str(error).split(',')[0]}")
else:
    sys.exit(f"it can be read now: {found}")
END
done
