#!/bin/sh
# threadpoolctl 3.8.0 with NumPy 2.4.6 (OpenBLAS, its own threads): a limit that a second thread sets has no
# effect and raises nothing, once another thread has set one.
#
# The pool is the process's, and up to 3.7 whoever set it last had his way. Now the first thread that sets
# a limit owns it for as long as it lives, or until its `with` block ends: in a pool of workers, the
# `with threadpool_limits(1)` of all but one does nothing, `threadpool_info()` inside of it goes on to say
# two, and a limit that was set in one thread cannot be given back in another. Only
# `OpenBLASController.clear_controlling_thread(force=True)` lets another one in.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 threadpoolctl==3.8.0
OPENBLAS_NUM_THREADS=2 "$folder/venv/bin/python" - <<'END'
import threading

import numpy  # noqa: F401 - whose OpenBLAS it is about
from threadpoolctl import ThreadpoolController, threadpool_limits


def threads():
    (library,) = ThreadpoolController().select(internal_api="openblas").lib_controllers
    assert library.threading_layer == "pthreads"
    return library.num_threads


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def with_limit(number):
    with threadpool_limits(number, user_api="blas"):
        return threads()


print("alone:", in_a_thread(lambda: with_limit(1)), "thread inside the limit of one, then", threads())
assert in_a_thread(lambda: with_limit(1)) == 1
threadpool_limits(2, user_api="blas")
inside = in_a_thread(lambda: with_limit(1))
print("after the main thread has set two:", inside, "inside another thread's limit of one")
assert inside == 2

(library,) = ThreadpoolController().select(internal_api="openblas").lib_controllers
library.clear_controlling_thread(force=True)
assert in_a_thread(lambda: with_limit(1)) == 1
END
