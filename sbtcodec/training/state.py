"""What a training run holds, its optimisers and one update of the weights."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sbtcodec.errors import WeightsError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.config import ModelConfig
from sbtcodec.tokenizer.layers import channels_last
from sbtcodec.training.config import TrainingConfig
from sbtcodec.training.muon import Muon


@dataclass
class Run:
    """All that a run holds; `train` drives it."""

    config: TrainingConfig
    model: CodecModel
    device: torch.device
    optimisers: list[torch.optim.Optimizer]
    averaged: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    token_weight: float = field(init=False)
    sums: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with the weight that the recipe says."""
        self.token_weight = self.config.token_weight

    @property
    def progress(self) -> float:
        """Share of the run's time that is over, 0..1."""
        return min(1.0, self.seconds / (60 * self.config.minutes))

    def rate_factor(self) -> float:
        """Learning rate relative to its peak: warm-up, plateau, linear decay to zero."""
        return rate_factor_at(self.progress, self.step, self.config)

    def average_anew(self) -> None:
        """Begin the averages with the weights as they are."""
        for name, value in self.model.named_parameters():
            self.averaged[name].copy_(value.detach())

    def note(self, parts: dict[str, Tensor]) -> None:
        """Add what a step's loss is made of to the sums."""
        for key, value in parts.items():
            self.sums.setdefault(key, []).append(value.item())

    def state(self) -> dict[str, Any]:
        """What a checkpoint says besides tensors."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "token_weight": self.token_weight,
            "config": self.config.to_json(),
            "model": self.model.config.to_json(),
        }


def begun(
    config: TrainingConfig, model_config: ModelConfig, device: torch.device, *, unread: bool = False
) -> Run:
    """A run of freshly drawn weights that has not made a step; `unread` as in `make_optimisers`."""
    torch.manual_seed(config.seed)
    model = channels_last(CodecModel(model_config).to(device))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not config.only or name.startswith(config.only))
    averaged = {k: v.detach().clone() for k, v in model.named_parameters()}
    return Run(config, model, device, make_optimisers(model, config, unread=unread), averaged)


def make_optimisers(
    model: CodecModel, config: TrainingConfig, *, unread: bool = False
) -> list[torch.optim.Optimizer]:
    """AdamW; or Muon for the matrices of the float networks and AdamW for the rest.

    Args:
        model: those of its parameters that need a gradient learn.
        config: the recipe.
        unread: rates of learning are tensors on the model's device, and with CUDA a step can be
            captured in a graph: the host reads nothing of it.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        is_matrix = name.startswith("tokenizer.") and p.ndim == 2 and min(p.shape) >= 32
        use = matrices if is_matrix and config.matrix_learning_rate else others
        use.append(p)
    device = next(model.parameters()).device
    fast = unread and device.type == "cuda"
    peaks = config.learning_rate, config.matrix_learning_rate
    adam, muon = (
        torch.tensor(peak, dtype=torch.float32, device=device) if unread else peak for peak in peaks
    )
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            others,
            lr=adam,
            betas=(0.9, 0.99),
            weight_decay=0.0,
            fused=fast or None,
            capturable=fast,
        )
    ]
    if matrices:
        optimisers.append(Muon(matrices, muon))
    for optimiser, peak in zip(optimisers, peaks, strict=False):
        for group in optimiser.param_groups:
            group["peak"] = peak
    return optimisers


def optimise(run: Run, loss: Tensor, world: int) -> None:
    """One update of the weights and of their average; raises as `descend`."""
    norm = descend(run, run.model, loss, world, clip=run.config.clip)
    run.sums.setdefault("gradient_norm", []).append(norm)
    hold_sums(run.model)
    follow(run, run.model, run.config.ema)


class Schedule(Protocol):
    """What a recipe says of its rates of learning."""

    @property
    def warmup_steps(self) -> int:
        """Steps of linear warm-up."""
        ...

    @property
    def decay_share(self) -> float:
        """Share of the run, at its end, over which the rates fall linearly to zero."""
        ...


def rate_factor_at(progress: float, step: int, schedule: Schedule) -> float:
    """Learning rate relative to its peak: warm-up, plateau, linear decay to zero.

    Args:
        progress: share of the run that is over, 0..1.
        step: steps made.
        schedule: of the recipe.
    """
    warm = min(1.0, (step + 1) / schedule.warmup_steps)
    return warm * max(min(1.0, (1.0 - progress) / schedule.decay_share), 0.002)


class Descending(Protocol):
    """What an update needs of a run."""

    optimisers: list[torch.optim.Optimizer]
    averaged: dict[str, Tensor]

    @property
    def step(self) -> int:
        """Steps made."""
        ...

    def rate_factor(self) -> float:
        """Learning rate relative to its peak."""
        ...


def descend(run: Descending, model: nn.Module, loss: Tensor, world: int, *, clip: float) -> float:
    """One update of the weights.

    Args:
        run: whose optimisers move the weights; their groups have a `peak` of the rate.
        model: those of its parameters that need a gradient learn.
        loss: of this process.
        world: number of processes, which have the mean of their gradients.
        clip: largest norm of the gradient.

    Returns:
        The norm that it had.

    Raises:
        WeightsError: the gradient is not finite; the weights are as they were.
    """
    for optimiser in run.optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if world > 1:
        average_gradients([p for p in model.parameters() if p.requires_grad], world)
    norm = nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], clip)
    if not torch.isfinite(norm):
        raise WeightsError(
            f"the gradient of step {run.step} is not finite; nothing of it was kept: resume from "
            "the last checkpoint, with lower rates of learning if it happens again"
        )
    factor = run.rate_factor()
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        optimiser.step()
    return float(norm)


def follow(run: Descending, model: nn.Module, ema: float) -> None:
    """Let the averaged weights follow; at first they do so faster than with a decay of `ema`."""
    decay = min(ema, (1 + run.step) / (10 + run.step))
    current = dict(model.named_parameters())
    names = list(run.averaged)
    torch._foreach_lerp_(
        [run.averaged[n] for n in names], [current[n].detach() for n in names], 1 - decay
    )


def hold_sums(model: CodecModel) -> None:
    """Keep integer networks that learn within what a release can hold.

    Outputs that grow beyond it would be shrunk when weights are exported, after training and
    without its knowledge: other tables would be picked than those that were learned.
    """
    for network in (model.prior, model.scales):
        for _, layer in network.convs():
            if layer.weight.requires_grad:
                layer.hold()


def average_gradients(parameters: list[nn.Parameter], world: int) -> None:
    """Give all ranks the mean of their gradients, in one exchange.

    A rank whose crops left a parameter without a gradient takes part with zeros: all have to
    exchange the same.
    """
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    together = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(together)
    together /= world
    means = torch.split(together, [p.numel() for p in parameters])
    for p, mean in zip(parameters, means, strict=True):
        p.grad = mean.view_as(p)


def follow_first(run: Run) -> None:
    """Give all ranks the clock and the token weight of rank 0.

    With clocks of their own, some would stop before others, which then wait for them for ever; and
    the rates of learning would drift apart.
    """
    state = torch.tensor([run.seconds, run.token_weight], dtype=torch.float64, device=run.device)
    dist.broadcast(state, 0)
    run.seconds, run.token_weight = state.tolist()
