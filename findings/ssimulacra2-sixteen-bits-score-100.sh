#!/bin/sh
# ssimulacra2 0.3.0 with Pillow 13.0.0: any two gray PNG files of 16 bits a sample score 100, "identical",
# unless they have samples below 256, however different they are.
#
# The package opens files with Pillow and converts them to RGB. Pillow opens such a PNG in mode "I;16", and
# to convert that to RGB it clips samples at 255 instead of dividing them: both pictures are white. A ramp
# scores 98 against its negative (100 above 255), where the same pair in 8 bits scores -1389, and the same 16-bit
# samples as an RGB file, which Pillow reduces by the high byte, score as in 8 bits. The reference program
# of the metric reads 16 bits. Pictures of 4 x 4 pixels score 100 as well, whatever they show: there is no
# scale left to compare (the reference refuses them).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ssimulacra2==0.3.0 pillow==13.0.0 numpy==2.4.6 pypng==0.20220715.0
cd "$folder"
"$folder/venv/bin/python" - <<'END_OF_PYTHON'
import numpy as np
import png
from ssimulacra2 import compute_ssimulacra2

ramp = np.add.outer(np.arange(128), np.arange(128)).astype(np.uint16) * 257  # 0 to 65278
negative = 65535 - ramp


def score(a, b, **options):
    bits = options["bitdepth"]
    for name, samples in (("a.png", a), ("b.png", b)):
        shape = samples.shape[1], samples.shape[0]
        rows = (samples >> (16 - bits)).reshape(shape[1], -1)
        with open(name, "wb") as file:
            png.Writer(*shape, **options).write(file, rows.tolist())
    return compute_ssimulacra2("a.png", "b.png")


gray8 = score(ramp, negative, bitdepth=8, greyscale=True)
gray16 = score(ramp, negative, bitdepth=16, greyscale=True)
bright = score(ramp // 2 + 256, negative // 2 + 256, bitdepth=16, greyscale=True)
rgb16 = score(*(np.stack([s] * 3, 2) for s in (ramp, negative)), bitdepth=16, greyscale=False)
tiny = score(ramp[:4, :4], negative[:4, :4], bitdepth=8, greyscale=True)
print(f"8 bits {gray8:.1f}; 16 bits {gray16:.1f}, above 255 {bright:.1f}; RGB {rgb16:.1f}; 4x4 {tiny:.1f}")
assert gray8 < -1000 and abs(rgb16 - gray8) < 1
assert bright == 100 and gray16 > 90
assert tiny == 100
END_OF_PYTHON
