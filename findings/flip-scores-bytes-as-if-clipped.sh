#!/bin/sh
# flip-evaluator 1.7: arrays of 8-bit samples are taken without a word and scored far too well, though
# black against white gets its right score, so that a check of the two extremes does not show it.
#
# `evaluate` wants floats from 0 to 1. Integer arrays (uint8, uint16, int32) and floats up to 255 are
# taken as such numbers: nearly all samples are beyond white. Two noise images that differ by a twentieth
# of the range score 0.19 as floats and 0.02 as bytes (less is better), where the documentation of peers
# (SSIMULACRA2, Pillow's images) leads one to pass bytes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flip-evaluator==1.7 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import flip_evaluator
import numpy as np


def score(reference, test):
    return flip_evaluator.evaluate(reference, test, "LDR")[1]


reference = np.random.default_rng(0).random((64, 64, 3))
test = np.clip(reference + 0.05, 0, 1)
bytes_of = [(image * 255).round().astype(np.uint8) for image in (reference, test)]
right = score(*((image / 255).astype(np.float32) for image in bytes_of))
wrong = [score(*(image.astype(kind) for image in bytes_of)) for kind in ("u1", "u2", "i4", "f4")]
print(f"floats from 0 to 1: {right:.4f}; 8-bit samples: {wrong[0]:.4f}")
assert 0.18 < right < 0.20
assert all(abs(found - 0.0209) < 1e-3 for found in wrong)

black, white = np.zeros((32, 32, 3), np.float32), np.ones((32, 32, 3), np.float32)
as_bytes = [(image * 255).astype(np.uint8) for image in (black, white)]
assert abs(score(black, white) - score(*as_bytes)) < 1e-6
END
