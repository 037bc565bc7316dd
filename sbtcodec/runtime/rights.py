"""Rights of files that a library makes for their owner alone."""

from pathlib import Path


def as_new(path: Path) -> None:
    """Give a file the rights that any new file beside it gets: those of umask, or of the folder.

    safetensors 0.8 makes files that nobody else can read, and weights are there to be shared.
    """
    probe = path.with_name(f"{path.name}.rights")
    probe.touch()
    try:
        path.chmod(probe.stat().st_mode)
    finally:
        probe.unlink()
