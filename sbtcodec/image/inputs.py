"""Inputs that are no regular files: pipes are read once, into memory; devices are refused."""

import os
import select
import stat
from collections.abc import Callable
from pathlib import Path

from sbtcodec.errors import SbtError
from sbtcodec.limits import MAX_FILE_BYTES

PATIENCE_SECONDS = 2.0  # before somebody is told that nothing comes

_CHUNK_BYTES = 2**20
_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk",
    stat.S_IFSOCK: "a socket",
}


def refusal(path: Path, mode: int) -> str:
    """Return why a file of this mode cannot be read as a picture; empty if it can."""
    kind = _KINDS.get(stat.S_IFMT(mode), "")
    if not kind:
        return ""
    return f"{path} is {kind}, expected a file or a pipe; write what it gives to a file first"


def pipe_content(
    path: Path, error: type[SbtError], tell: Callable[[str], None] | None = None
) -> bytes | None:
    """Return what a named pipe gives until its writers close it; None if `path` is no pipe.

    `tell` is called with a sentence when nothing has come for a while.

    Raises `error` for devices, and for pipes that give more than any picture needs.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # told better by whoever opens it
        return None
    if reason := refusal(path, mode):
        raise error(reason)
    if not stat.S_ISFIFO(mode):
        return None
    try:
        # Opening would wait for a writer, where nothing could be told.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0):
            content = _read(descriptor, path, tell)
    except OSError as failure:
        raise error(f"{path} cannot be read: {failure.strerror}") from failure
    if len(content) > MAX_FILE_BYTES:
        raise error(
            f"{path} gives over {MAX_FILE_BYTES} bytes, expected one picture;"
            " write it to a file first"
        )
    return content


def _read(descriptor: int, path: Path, tell: Callable[[str], None] | None) -> bytes:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    content = bytearray()
    while len(content) <= MAX_FILE_BYTES:
        if not poll.poll(PATIENCE_SECONDS * 1000):  # without a writer as well
            if tell is not None:
                tell(f"waiting for what is written to the pipe {path}")
                tell = None
            continue
        try:
            piece = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            continue
        if not piece:
            break
        content += piece
    return bytes(content)
