"""In which precision float networks run: what is asked for, and what the processor is made for."""

from typing import Any

import torch

from sbtcodec.arguments import shown
from sbtcodec.errors import ArgumentError

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"
PRECISIONS = (AUTO, FLOAT32, BFLOAT16)

INSTRUCTIONS = ("amx_bf16", "avx512_bf16")  # as `torch.cpu.get_capabilities` names them
# what versions of torch answer that have no such function
QUESTIONS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def fast_bf16(kind: str) -> bool:
    """Whether a kind of device multiplies in bfloat16; a CPU that does not is far slower in it.

    Args:
        kind: "cpu" or "cuda", as `torch.device.type`.
    """
    if kind != "cpu":
        return True
    told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if told:
        return any(told.get(name) for name in INSTRUCTIONS)
    return any(getattr(torch.cpu, question, bool)() for question in QUESTIONS)


def bf16_for(precision: str, device: torch.device) -> bool:
    """Whether to run networks in bfloat16 on a device.

    With "auto", a CPU that is made for it does: symbols of a file are the same, pixels move by
    rounding, which photographs lose 0.002 to 0.04 dB by on average, and it takes half of the time.

    Raises:
        ArgumentError: `precision` is none of PRECISIONS.
    """
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise ArgumentError(
            f"the precision is {shown(precision)}, expected {', '.join(PRECISIONS[:-1])} or"
            f" {PRECISIONS[-1]}"
        )
    if precision == AUTO:
        return device.type == "cpu" and fast_bf16("cpu")
    return precision == BFLOAT16
