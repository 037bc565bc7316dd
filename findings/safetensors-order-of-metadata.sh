#!/bin/sh
# safetensors 0.8.0: saving the same tensors and metadata twice gives two different files.
#
# The header is JSON; tensors are put in a fixed order, but the entries of `__metadata__` come in the
# order of a hash table that is seeded anew at every call. So the SHA-256 of a file is no identity of a
# model: with eight entries, twenty saves in one process gave twenty files (one order in 40 320
# repeats), all of one size and equal tensor by tensor. With one entry, or none, files are the same.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import hashlib

import numpy as np
from safetensors.numpy import load, save

tensors = {"b": np.arange(6, dtype=np.float32), "a": np.ones((2, 3), np.int16)}


def files(entries):
    metadata = {f"key{i}": str(i) for i in range(entries)}
    return [save(tensors, metadata) for _ in range(20)]


for entries in (0, 1):
    assert len(set(files(entries))) == 1
made = files(8)
digests = {hashlib.sha256(data).hexdigest() for data in made}
print(f"{len(digests)} different files of 20, sizes {sorted({len(data) for data in made})}")
assert len({len(data) for data in made}) == 1
for data in made:
    for name, value in load(data).items():
        assert np.array_equal(value, tensors[name])
assert len(digests) > 1, "files have become reproducible"
END
