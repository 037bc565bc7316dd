"""Fetching a file whose SHA-256 is known: checked before it appears, and never fetched twice."""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from sbtcodec.errors import DatasetError

MAX_DOWNLOAD_BYTES = 64 * 2**20
"""A server that sends more than this is not sending a test image."""

_CHUNK_BYTES = 2**16


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, target: Path, *, sha256: str, timeout: float = 30.0) -> bool:
    """Bring a file to `target` unless it is there already and intact.

    The bytes go to a temporary file beside the target, which takes the target's name only after
    its digest was found right: an interrupted download leaves no half file behind, and a set of
    files goes on where it stopped.

    Args:
        url: an http or https address.
        target: where the file belongs; its folder is made.
        sha256: expected digest, hexadecimal.
        timeout: seconds of silence after which the server counts as gone.

    Returns:
        Whether anything was fetched.

    Raises:
        DatasetError: no answer, an error answer, other bytes than expected, or no place to write.
    """
    try:
        if target.is_file() and sha256_of(target) == sha256:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        msg = f"cannot write {target}: {error}"
        raise DatasetError(msg) from error
    part = Path(name)
    try:
        found = _fetch(url, handle, timeout)
        if found != sha256:
            msg = (
                f"{url} is not the file expected: SHA-256 {found}, expected {sha256}; nothing "
                f"was kept. Try again later, or put the right file at {target}"
            )
            raise DatasetError(msg)
        part.chmod(0o644)
        part.replace(target)
    except OSError as error:
        msg = f"cannot write {target}: {error}"
        raise DatasetError(msg) from error
    finally:
        part.unlink(missing_ok=True)
    return True


def _fetch(url: str, handle: int, timeout: float) -> str:
    """Copy what `url` sends to an open file descriptor, close it and return the digest."""
    digest = hashlib.sha256()
    request = urllib.request.Request(url, headers={"User-Agent": "sbtcodec-bench"})
    with os.fdopen(handle, "wb") as file:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                received = 0
                while chunk := response.read(_CHUNK_BYTES):
                    received += len(chunk)
                    if received > MAX_DOWNLOAD_BYTES:
                        msg = f"{url} sends more than {MAX_DOWNLOAD_BYTES} bytes; given up"
                        raise DatasetError(msg)
                    digest.update(chunk)
                    file.write(chunk)
        except urllib.error.HTTPError as error:
            msg = f"{url} answered {error.code} {error.reason}; nothing was kept"
            raise DatasetError(msg) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            msg = (
                f"cannot download {url}: {reason}; files that did arrive are kept: try "
                "again, or give a folder that has them as data_dir"
            )
            raise DatasetError(msg) from error
    return digest.hexdigest()
