"""Files of tensors that can be read by whom any new file can be read by."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file, with the rights that umask, or the folder, gives any new one.

    safetensors 0.8 makes files that nobody but their owner can read, and weights are to be shared.

    Args:
        tensors: contiguous, by name.
        path: the file; it is replaced.
        metadata: text by name.
    """
    save_file(dict(tensors), path, metadata)
    probe = path.with_name(f"{path.name}.rights")
    probe.touch()
    try:
        path.chmod(probe.stat().st_mode)
    finally:
        probe.unlink()
