"""NumPy's products take one thread while symbols are coded, and no longer."""

import threading

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from sbtcodec.codec.codec import Codec
from sbtcodec.entropy import exact
from sbtcodec.runtime.blas import one_thread


def threads_of_numpy() -> list[int]:
    return [
        each["num_threads"]
        for each in threadpool_info()
        if each["user_api"] == "blas" and "numpy" in each["filepath"]
    ]


pytestmark = pytest.mark.skipif(not threads_of_numpy(), reason="no threads of NumPy's are found")


def test_coding_takes_one_thread_and_gives_the_others_back(
    tiny_codec: Codec, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    product = exact.Pointwise.__call__
    monkeypatch.setattr(
        exact.Pointwise,
        "__call__",
        lambda layer, x: (seen.extend(threads_of_numpy()), product(layer, x))[1],
    )
    with threadpool_limits(2, user_api="blas"):
        tiny_codec.decompress(tiny_codec.compress(photo[:90, :120]))
        assert set(threads_of_numpy()) == {2}
    assert set(seen) == {1}


def test_the_number_is_given_back_when_the_last_has_ended() -> None:
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        with one_thread():
            begun.set()
            end.wait(10)

    with threadpool_limits(2, user_api="blas"):
        worker = threading.Thread(target=work)
        with one_thread():
            worker.start()
            begun.wait(10)
        assert set(threads_of_numpy()) == {1}
        end.set()
        worker.join()
        assert set(threads_of_numpy()) == {2}
