"""A graph that onnxruntime runs on the CPU."""

import functools
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

from sbtcodec.errors import WeightsError
from sbtcodec.light.graph import Graph

LEVELS = onnxruntime.GraphOptimizationLevel
FATAL = 4  # the lowest severity of onnxruntime's own messages that is printed


class Session:
    """One network, ready to run."""

    def __init__(self, graph: Graph, threads: int) -> None:
        """Bring a graph and its weights together.

        Raises:
            WeightsError: the weights do not fit the graph.
        """
        self._name = graph.name
        options = onnxruntime.SessionOptions()
        # all: blocks of channels side by side, without which convolutions take half as long again
        options.graph_optimization_level = LEVELS.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads
        # waiting threads that stay busy keep those of other networks from running
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_mem_pattern = False  # which holds on to memory for each size of a block
        options.log_severity_level = FATAL
        weights = graph.weights
        # which onnxruntime does not copy: they have to stay as long as the session does
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(w) for w in weights.values()]
        options.add_external_initializers(list(weights), self._values)
        try:
            self._session = onnxruntime.InferenceSession(
                graph.model(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise misfit(graph.name, error) from error

    def __call__(self, **inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """Run; inputs by name, outputs in the order of the graph.

        Raises:
            WeightsError: the weights do not fit the graph; not all sides are compared before.
            MemoryError: there is not enough.
        """
        given = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        try:
            outputs: list[NDArray[Any]] = self._session.run(None, given)
        except (Fail, InvalidArgument, RuntimeException) as error:
            if "allocate" in str(error):  # which has no class of its own
                raise MemoryError(f"the network {self._name} cannot run: {error}") from error
            raise misfit(self._name, error) from error
        return outputs


@functools.cache
def share_memory() -> None:
    """Let networks, which run one after the other, work in the same memory.

    Else each would keep its own, and have the system make it ready in its first run.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, None)


def misfit(name: str, error: Exception) -> WeightsError:
    """What is told where weights do not fit a network."""
    return WeightsError(f"the weights do not fit the network {name}: {error}; reinstall sbtcodec")
