#!/bin/sh
# torch 2.13.0: inside `torch.autocast("cpu", torch.bfloat16)`, joining float16 tensors raises, and inside
# autocast to float16, joining bfloat16 ones: "Unexpected floating ScalarType in at::autocast::prioritize".
#
# `cat`, `stack` and `index_copy` are run in the widest dtype of their arguments, and the list of dtypes
# that may be widest lacks the other 16-bit type; even arguments that all have the same dtype are refused.
# Products, sums and layers of the same tensors work, float64 and integers are joined. So a batch that is
# stacked from features kept in float16 has to be made before autocast begins, and a buffer kept in
# bfloat16 cannot be joined where somebody else's code runs the module in float16.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import torch

one = torch.ones(2, 2)
joins = {
    "cat": lambda t: torch.cat([t, t]),
    "stack": lambda t: torch.stack([t, t]),
    "index_copy": lambda t: t.index_copy(0, torch.tensor([0]), t[:1]),
}
refused = set()
for into in (torch.bfloat16, torch.float16):
    with torch.autocast("cpu", into):
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            tensor = one.to(dtype)
            assert (tensor + tensor).dtype == dtype
            assert dtype == torch.float64 or (tensor @ tensor).dtype == into
            for name, join in joins.items():
                try:
                    assert join(tensor).dtype == dtype
                except RuntimeError as error:
                    assert "Unexpected floating ScalarType" in str(error)
                    refused.add((into, dtype, name))
print(*sorted(f"into {into}: {name} of {dtype}" for into, dtype, name in refused), sep="\n")
other = {torch.bfloat16: torch.float16, torch.float16: torch.bfloat16}
assert refused == {(into, dtype, name) for into, dtype in other.items() for name in joins}
END
