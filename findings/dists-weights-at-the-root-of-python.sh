#!/bin/sh
# DISTS-pytorch 0.1: its weights are installed as `weights.pt` at the root of the environment, and read from there.
#
# The wheel has `weights.pt` twice: in its package, where nothing reads it, and as a data file of the
# environment, without any folder. After `pip install` a file of that name lies beside `bin` and
# `lib` (of a user's installation, in ~/.local; where Python itself is installed, in /usr/local, say).
# `DISTS()` opens `sys.prefix/weights.pt`. So with `pip install --target` (or `--user`), as for a
# function in a cloud or a bundle, it imports and then fails with FileNotFoundError, though both
# copies were installed; and whatever else is called weights.pt at the root is taken for its weights:
# here, ones in place of what people's judgements gave, without a word.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/pip"
"$pip" install --quiet torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
"$pip" install --quiet --no-deps --target "$folder/bundle" DISTS-pytorch==0.1
cat >"$folder/scores.py" <<'END'
import sys
import warnings

import torch
import torchvision

# the network of ImageNet is not what this is about: of random weights, and not downloaded
torch.manual_seed(0)
network = torchvision.models.vgg16(weights=None)
torchvision.models.vgg16 = lambda pretrained: network
warnings.simplefilter("ignore")
from DISTS_pytorch import DISTS  # noqa: E402

torch.manual_seed(1)
x = torch.rand(1, 3, 64, 64)
y = (x + 0.3 * torch.rand_like(x)).clamp(0, 1)
try:
    metric = DISTS()
except FileNotFoundError as error:
    print(error.filename.replace(sys.prefix, "sys.prefix"), "is not there")
else:
    print(f"{len(set(metric.alpha.flatten().tolist()))} different weights")
END
python="$folder/venv/bin/python"
ls "$folder/bundle" | sort | tr '\n' ' '
echo
test -f "$folder/bundle/weights.pt" && test -f "$folder/bundle/DISTS_pytorch/weights.pt"
bundled=$(PYTHONPATH="$folder/bundle" "$python" "$folder/scores.py")
echo "in a folder of its own: $bundled"
test "$bundled" = "sys.prefix/weights.pt is not there"

"$pip" install --quiet --no-deps DISTS-pytorch==0.1
test -f "$folder/venv/weights.pt"
installed=$("$python" "$folder/scores.py")
echo "in the environment: $installed"
test "${installed%% *}" -gt 1000

"$python" -c 'import sys, torch
torch.save({k: torch.ones(1, 1475, 1, 1) for k in ("alpha", "beta")}, sys.prefix + "/weights.pt")'
replaced=$("$python" "$folder/scores.py")
echo "with another weights.pt at its root: $replaced"
test "$replaced" = "1 different weights"
