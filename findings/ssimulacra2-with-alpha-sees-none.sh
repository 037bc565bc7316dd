#!/bin/sh
# ssimulacra2 0.3.0: compute_ssimulacra2_with_alpha, "compute SSIMULACRA2 with dark/light backgrounds", never
# looks at alpha: two RGBA files whose transparency has nothing in common score 100, "identical".
#
# It calls compute_ssimulacra2 with backgrounds 0.1 and 0.9 and takes the lower score; that function opens
# both files as `Image.open(path).convert("RGB")` and afterwards asks whether they have four channels. So
# the background changes nothing, and pixels that nobody sees count as if they were seen: pictures that
# differ only where both are fully transparent, which look the same, score far below 100.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ssimulacra2==0.3.0 pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'END_OF_PYTHON'
import numpy as np
from PIL import Image
from ssimulacra2 import compute_ssimulacra2, compute_ssimulacra2_with_alpha

rng = np.random.default_rng(0)
colours = np.kron(rng.integers(60, 200, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
left = np.zeros((64, 64, 1), np.uint8)
left[:, :32] = 255


def score(a, b):
    for name, samples in (("a.png", a), ("b.png", b)):
        Image.fromarray(samples).save(name)
        assert Image.open(name).mode == "RGBA"
    assert compute_ssimulacra2("a.png", "b.png", bg=0.1) == compute_ssimulacra2("a.png", "b.png", bg=0.9)
    return compute_ssimulacra2_with_alpha("a.png", "b.png")


unlike = score(np.dstack([colours, left]), np.dstack([colours, 255 - left]))
hidden = colours.copy()
hidden[:, 32:] = 255 - hidden[:, 32:]
alike = score(np.dstack([colours, left]), np.dstack([hidden, left]))
print(f"left and right half: {unlike:.1f}; the same but for what is transparent: {alike:.1f}")
assert unlike == 100
assert alike < 50
END_OF_PYTHON
