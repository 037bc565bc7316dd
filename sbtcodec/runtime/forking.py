"""Forked processes: what a child must not use of its parent's threads.

libgomp, which runs torch's products on several cores, keeps a pool of threads for each thread that
asked for one. A fork copies the pool and not its threads, so the next product in the thread that
forked waits for them for ever.
"""

import os
import sys
import threading

_lock = threading.Lock()
_forked = False
_thread = threading.local()


def settle() -> None:
    """Make torch usable in the calling thread; for whoever is about to use it.

    In a forked child, the number of torch's threads is set to one before the codec's first work,
    and again in the thread that forked if that comes later: no pool is asked for then. That is the
    only state of the process that the codec writes; torch does the same in the workers of its
    `DataLoader`. A child that does not use the codec is left alone.
    """
    global _forked
    if _forked:
        import torch

        with _lock:  # torch renews a pool of its own in this call, and not safely in several
            if _forked:
                torch.set_num_threads(1)
                _forked = False
    if getattr(_thread, "forked", False):
        import torch

        torch.set_num_threads(1)  # which counts for the calling thread
        _thread.forked = False


def _mark() -> None:
    """Note, in a child, that it is one, if torch was there to have had threads."""
    global _forked, _lock
    if "torch" in sys.modules:
        _lock = threading.Lock()  # a thread that is not here may have held it
        _forked = _thread.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark)
