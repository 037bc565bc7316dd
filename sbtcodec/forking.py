"""Forked processes: what a child must not use of its parent's threads.

libgomp, which runs torch's products on several cores, keeps a pool of threads for each thread that
asked for one. A fork copies the pool and not its threads, so the next product in the thread that
forked waits for them for ever.
"""

import os
import sys
import threading

_thread = threading.local()


def _mark() -> None:
    """Note, in a child, that the thread it goes on with may own such a pool."""
    if "torch" in sys.modules:
        _thread.forked = True


def settle() -> None:
    """Make torch usable in the calling thread; for whoever is about to use it.

    In the thread that goes on in a forked child, and once, the number of torch's threads is set to
    one: a pool is not asked for then. That is the only state of the process that the codec writes.
    torch does the same in the workers of its `DataLoader`. A child that does not use the codec, and
    the further threads of one that does, are left alone.
    """
    if getattr(_thread, "forked", False):
        import torch

        _thread.forked = False
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark)
