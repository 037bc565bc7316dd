#!/bin/sh
# safetensors 0.8.0: `save_file` makes files that nobody but their owner can read, whatever umask says.
#
# With a umask of 022, under which every new file is readable by all (mode 644), `save_file` of 0.8.0
# leaves mode 600; 0.7.0 left 644. Writing over a file that was 644 makes it 600, and a symbolic link
# of that name is replaced by a file of its own while what it pointed to stays as it was. Bytes of
# `save`, written with `open`, have the usual mode. Whoever saves weights into a folder that others
# use, or in an image that runs as another user, finds out when these cannot load them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 022
cat >"$folder/modes.py" <<'END'
import os
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save, save_file

folder = Path(sys.argv[1])
tensors = {"a": np.arange(3, dtype=np.float32)}


def mode(name):
    return oct((folder / name).stat().st_mode & 0o777)


save_file(tensors, folder / "new")
(folder / "plain").write_bytes(save(tensors))
(folder / "old").write_bytes(b"")
(folder / "link").symlink_to(folder / "old")
before = mode("old")
save_file(tensors, folder / "link")
linked = (folder / "link").is_symlink()
save_file(tensors, folder / "old")
assert np.array_equal(load_file(folder / "new")["a"], tensors["a"])
print(mode("new"), mode("plain"), before, mode("old"), linked)
END
expect() {
    python3 -m venv "$folder/venv-$1"
    "$folder/venv-$1/bin/pip" install --quiet "safetensors==$1" numpy==2.4.6
    mkdir "$folder/files-$1"
    found=$("$folder/venv-$1/bin/python" "$folder/modes.py" "$folder/files-$1")
    echo "safetensors $1: new, by save, old before, old after, still a link: $found"
    test "$found" = "$2"
}
expect 0.7.0 "0o644 0o644 0o644 0o644 True"
expect 0.8.0 "0o600 0o644 0o644 0o600 False"
