"""The processes of a run under `torchrun`, one for each GPU; a run by itself is one."""

import os
import time
from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Processes:
    """This process among those of a run.

    Attributes:
        rank: its number, from 0.
        world: how many there are.
        device: what it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @classmethod
    def joined(cls, device: str) -> Self:
        """Join the others, if there are any; `device` is auto, cpu or cuda."""
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if world > 1:
            dist.init_process_group("nccl" if cuda else "gloo")
        return cls(rank, world, torch.device("cuda", local_rank) if cuda else torch.device("cpu"))

    def wait(self) -> None:
        """Go on when all others are here."""
        if self.world > 1:
            dist.barrier()

    def leave(self) -> None:
        """Part from the others."""
        if self.world > 1:
            dist.destroy_process_group()


def clock(device: torch.device) -> float:
    """Seconds of work: on a CPU, those of the processor for each thread.

    So runs beside other work, and runs that were stopped for a while, are compared at equal time.
    """
    if device.type == "cpu":
        return time.process_time() / torch.get_num_threads()
    return time.monotonic()
