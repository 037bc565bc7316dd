#!/bin/sh
# cvvdp 0.5.7 (ColorVideoVDP): a gray image is not scored as the same image with three equal samples a
# pixel, but by up to several JOD otherwise, and which of two images is worse may be told the other way.
#
# `predict` takes gray images (`dim_order="HW"`, which its documentation names first). Their luminance is
# put in all three channels of vision, the chromatic ones too (`R[:,0::2] = frame` repeats it), so it is
# seen three times, each with another sensitivity. Scores of 10 for no difference hide it. Seen: noise
# 9.13 as gray and 9.43 as color; blocks of 8 x 8 pixels 9.26 and 7.51: the noise is the worse of the two
# as gray, and by far the better one as color. Another picture scores 7.59 and 4.84.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 torchvision==0.29.1 cvvdp==0.5.7
"$folder/venv/bin/python" - <<'END'
import logging

import numpy as np
import pycvvdp
import torch

logging.disable(logging.WARNING)
rng = np.random.default_rng(0)
metric = pycvvdp.cvvdp(display_name="standard_4k", quiet=True, device=torch.device("cpu"))


def scores(test, reference):
    """As a gray image, and as one with three equal channels."""
    tests = (test, reference), tuple(np.repeat(p[..., None], 3, 2) for p in (test, reference))
    return [float(metric.predict(*t, dim_order=d)[0]) for t, d in zip(tests, ("HW", "HWC"))]


y, x = np.mgrid[:192, :256]
waves = 128 + 60 * np.sin(x / 9) * np.cos(y / 14) + 30 * np.sin((x + y) / 3)
reference = (waves + 8 * rng.standard_normal(x.shape)).clip(0, 255).astype(np.uint8)
noisy = (reference + rng.normal(0, 12, x.shape)).clip(0, 255).astype(np.uint8)
means = reference.reshape(24, 8, 32, 8).mean((1, 3)).repeat(8, 0).repeat(8, 1)
blocks = (0.55 * means + 0.45 * reference).astype(np.uint8)
mirrored = reference[:, ::-1].copy()
found = {}
for name, test in (("same", reference), ("noise", noisy), ("blocks", blocks), ("other", mirrored)):
    found[name] = scores(test, reference)
    print(f"{name:7} gray {found[name][0]:.2f}, three equal channels {found[name][1]:.2f}")

assert found["same"] == [10, 10]
(noise, noise3), (blocks_, blocks3), (other, other3) = (found[k] for k in ("noise", "blocks", "other"))
assert noise < blocks_ - 0.05 and noise3 > blocks3 + 1.5
assert abs(noise - 9.13) < 0.1 and abs(noise3 - 9.43) < 0.1 and other - other3 > 2
END
