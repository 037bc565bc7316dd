"""Weights that a measuring package downloads: where torch's cache has them, and what they are."""

from pathlib import Path

import torch

from sbtcodec.errors import WeightsError
from sbtcodec.evaluation.download import sha256_of


def cached(name: str) -> Path:
    """Where a file of that name lies in the cache of torch, if it was downloaded."""
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def digest_of(path: Path, missing: str) -> str:
    """SHA-256 of a file of weights, in hexadecimal.

    Args:
        path: the file.
        missing: what is said if it is not there.

    Raises:
        WeightsError: it is not, or it cannot be read.
    """
    if not path.is_file():
        raise WeightsError(missing)
    try:
        return sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error


def reason(error: Exception) -> str:
    """The first line of what a package says of weights that it cannot load."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
