"""NumPy's matrix products on one thread, for as long as integer networks run.

Theirs are small, and the threads of OpenBLAS that have had a share of one go on spinning for longer
than the next layer takes, on the cores that torch and other files need: with them, decoding takes
twice as long. The number is the process's: it is set when the first that needs it begins, and
given back when the last ends.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_lock = threading.Lock()
_users = 0
_before: list[int] = []  # threads of each library


@cache
def _libraries() -> list[Any]:
    import numpy as np  # noqa: F401 - whose library is to be found
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    # torch brings one of its own on some machines, for its own products
    return [library for library in found if "torch" not in Path(library.filepath).parts]


def _set(library: Any, threads: int) -> None:  # noqa: ANN401 (threadpoolctl has no types)
    # only the thread that was the first to set it may do so, else nothing happens, unless told
    forget = getattr(library, "clear_controlling_thread", None)
    if forget is not None:
        forget(force=True)
    library.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Products of NumPy arrays take one thread each; for any number of callers at a time."""
    global _users, _before
    with _lock:
        if _users == 0:
            _before = [library.num_threads for library in _libraries()]
            for library in _libraries():
                _set(library, 1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _give_back()


def _give_back() -> None:
    for library, threads in zip(_libraries(), _before, strict=True):
        _set(library, threads)


def _begin_anew() -> None:
    """In a forked child: nobody else is there."""
    global _lock, _users
    _lock = threading.Lock()
    if _users:
        _users = 0
        _give_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
