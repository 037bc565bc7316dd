#!/bin/sh
# Pillow 13.0.0 with libavif 1.4.2 (libaom): the bytes of an AVIF file, and its quality, depend on the
# number of threads that encode it, and the default for that is the number of cores the process may use.
#
# The same picture with the same options gives other files on another machine, in a container with fewer
# cores, or under `taskset`; with one thread they are up to some percent larger or smaller and their PSNR
# differs. Two and four threads agree here; one does not. An encoder used as the baseline of a comparison,
# or in a test of equal bytes, needs `max_threads` to be given.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'END'
import hashlib
import io
import os

import numpy as np
from PIL import Image, features

assert features.version("avif") == "1.4.2"
# clouds: noise of several scales, 768 x 512
random = np.random.default_rng(0)
clouds = np.zeros((512, 768, 3), np.float32)
for scale in (4, 16, 64):
    small = random.integers(0, 256, (512 // scale, 768 // scale, 3), np.uint8)
    clouds += np.asarray(Image.fromarray(small).resize((768, 512), Image.Resampling.BICUBIC))
image = Image.fromarray((clouds / 3).astype(np.uint8))


def encoded(**options):
    file = io.BytesIO()
    image.save(file, "AVIF", speed=4, **options)
    return file.getvalue()


def digest(data):
    return hashlib.sha256(data).hexdigest()[:12]


differ = 0
for quality in (10, 30, 50):
    one, two, four = (encoded(quality=quality, max_threads=n) for n in (1, 2, 4))
    assert one == encoded(quality=quality, max_threads=1)
    assert two == four
    print(f"quality {quality}: 1 thread {len(one)} {digest(one)}, 2 and 4 {len(two)} {digest(two)}")
    differ += one != two
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        assert encoded(quality=quality) == one
        os.sched_setaffinity(0, cores)
assert differ == 3
END
