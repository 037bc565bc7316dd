"""One step of training of which the host reads nothing, so that a CUDA graph can hold it.

Crops, draws, loss, the token weight that the rate controls, the norm of the gradient and whether it
is finite stay on the device; the sums are read once for each line of the log.
"""

import sys
from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sbtcodec.errors import WeightsError
from sbtcodec.training.objective import TOKEN_PACE, TOKEN_WEIGHTS, drawn, parts_of
from sbtcodec.training.resident import Photographs
from sbtcodec.training.state import Run, hold_sums
from sbtcodec.training.step import Pass

HOLD_EVERY = 32  # steps between two looks at how far sums can be, which take as long as a step
WARM_UP = 3  # steps before a capture: kernels are chosen, optimisers make their moments
PARTS = (
    "loss",
    "token_bits",
    "mse_globals",
    "ms_ssim_loss",
    "bootstrap",
    "mse_detail",
    "bpp_detail",
)

Forward = Callable[[Tensor, Tensor, Tensor, Tensor], Pass]  # as `TrainingPass` is called


class DeviceStep:
    """A step on the run's device, of crops of one side and number.

    Attributes:
        steps: made since the sums were last read.
        undo: makes the forward pass one that is not compiled; none if it is not.
    """

    def __init__(
        self,
        run: Run,
        forward: Forward,
        photographs: Photographs,
        generator: torch.Generator,
        *,
        bf16: bool,
    ) -> None:
        """Begin with the token weight of the run.

        Args:
            run: its optimisers have tensors for rates (`make_optimisers` with `unread`).
            forward: the forward pass.
            photographs: on the run's device.
            generator: of that device; all draws come from it.
            bf16: run the networks in bfloat16, as far as `in_float32` does not hold them back.
        """
        self.run, self.forward, self.photographs = run, forward, photographs
        self.generator, self.bf16 = generator, bf16
        self.token_weight = torch.full((), run.token_weight, device=run.device)
        self.renewal = torch.ones((), device=run.device)  # share of new weights in their averages
        self.sums = torch.zeros(len(PARTS) + 2, device=run.device)  # and norms, and finite steps
        self.steps = 0
        self.undo: Callable[[], None] | None = None
        self.learning = [p for p in run.model.parameters() if p.requires_grad]
        names = dict(run.model.named_parameters())
        self.averages = list(run.averaged.values())
        self.current = [names[name].detach() for name in run.averaged]

    def set_rates(self) -> None:
        """Set what the host decides, the rates of learning and of averages, for the next step."""
        factor, step = self.run.rate_factor(), self.run.step
        for optimiser in self.run.optimisers:
            for group in optimiser.param_groups:
                group["lr"].fill_(group["peak"] * factor)
        self.renewal.fill_(1 - min(self.run.config.ema, (1 + step) / (10 + step)))

    def __call__(self, side: int, count: int) -> None:
        """One step on `count` random crops of `side` pixels."""
        c, t = self.run.config, self.run.model.config.tokenizer
        x = self.photographs.crops(side, count, self.generator)
        self.learn(x, *drawn(c, t, count, side, self.generator))

    def learn(self, x: Tensor, quality: Tensor, layers: Tensor, noise: Tensor) -> None:
        """One update of the weights and of their averages; arguments as of `TrainingPass`.

        Of a gradient that is not finite nothing is learnt, and the step is not counted as finite.
        """
        run = self.run
        with torch.autocast(run.device.type, torch.bfloat16, enabled=self.bf16):
            out = self.forward(x, quality, layers, noise)
        parts = parts_of(run.config, out, quality, layers, self.token_weight)
        for parameter in self.learning:
            parameter.grad = None
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in self.learning if p.grad is not None]
        norm, finite = clipped(gradients, run.config.clip)
        for optimiser in run.optimisers:
            optimiser.step()
        with torch.no_grad():
            apart = torch._foreach_sub(self.current, self.averages)
            torch._foreach_mul_(apart, self.renewal)
            torch._foreach_add_(self.averages, apart)
            excess = parts["token_bits"].detach() - run.config.target_token_bits
            held = (self.token_weight * torch.exp(TOKEN_PACE * excess)).clamp(*TOKEN_WEIGHTS)
            self.token_weight.copy_(torch.where(finite, held, self.token_weight))
            every = torch.stack([*[parts[name].detach() for name in PARTS], norm, finite.float()])
            self.sums.add_(torch.where(finite, every, 0))

    def read(self) -> None:
        """Bring sums and token weight to the run, as means since the last reading; this waits.

        Raises:
            WeightsError: no step since the last reading had a finite gradient.
        """
        *values, finite, weight = torch.cat([self.sums, self.token_weight[None]]).tolist()
        if self.steps and not finite:
            raise WeightsError(
                f"the gradients of the last {self.steps} steps, up to {self.run.step}, are not "
                "finite; nothing of them was kept: start again with lower rates of learning"
            )
        means = {} if not finite else dict(zip((*PARTS, "gradient_norm"), values, strict=True))
        self.run.sums = {name: [value / finite] for name, value in means.items()}
        self.run.sums["steps_not_finite"] = [self.steps - finite]
        self.run.token_weight = weight
        self.sums.zero_()
        self.steps = 0


class CapturedStep:
    """`DeviceStep` for one shape, captured in a CUDA graph; or called as it is, which is told."""

    def __init__(self, step: DeviceStep, side: int, count: int) -> None:
        """Make WARM_UP steps, then capture; without CUDA nothing happens yet."""
        self.step, self.shape = step, (side, count)
        self.graph: torch.cuda.CUDAGraph | None = None
        if step.run.device.type == "cuda":
            self._capture()

    def _capture(self) -> None:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self.one_by_one()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # a graph has memory of its own
        try:
            graph = torch.cuda.CUDAGraph()
            graph.register_generator_state(self.step.generator)
            with torch.cuda.graph(graph):
                self.step(*self.shape)
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            tqdm.write(f"steps run one by one, as no CUDA graph holds them: {reason}", sys.stderr)
            # a capture that broke off leaves a generator in a state of its own
            self.step.generator = torch.Generator(self.step.run.device)
            self.step.generator.manual_seed(self.step.run.config.seed + self.step.run.step)
            if self.step.undo is not None:  # it may be what was compiled
                self.step.undo()
                self.step.undo = None
                tqdm.write("a graph of operations that are not compiled is tried", sys.stderr)
                self._capture()
        else:
            self.graph = graph

    def __call__(self) -> None:
        """One step."""
        if self.graph is None:
            self.one_by_one()
        else:
            self._advance(self.graph.replay)

    def one_by_one(self) -> None:
        """One step whose operations the host starts one by one, whether there is a graph or not."""
        self._advance(lambda: self.step(*self.shape))

    def _advance(self, update: Callable[[], None]) -> None:
        self.step.set_rates()
        update()
        if self.step.run.step % HOLD_EVERY == 0:
            hold_sums(self.step.run.model)
        self.step.run.step += 1
        self.step.steps += 1


def clipped(gradients: list[Tensor], largest: float) -> tuple[Tensor, Tensor]:
    """Shrink gradients, in place, whose norm is too large; those not finite become zero.

    Args:
        gradients: float32, of any shapes, each without gaps in memory.
        largest: norm of all together.

    Returns:
        The norm before, and whether it is finite: float32 and bool of no dimensions.
    """
    ends = list(accumulate(g.numel() for g in gradients))
    together = torch.empty(ends[-1], dtype=torch.float32, device=gradients[0].device)
    # laid out as they are, so that a few kernels copy all of them
    places = [
        together[end - g.numel() : end].as_strided(g.shape, g.stride(), end - g.numel())
        for g, end in zip(gradients, ends, strict=True)
    ]
    torch._foreach_copy_(places, gradients)
    norm = torch.linalg.vector_norm(together)
    finite = torch.isfinite(norm)
    share = torch.where(finite, (largest / (norm + 1e-6)).clamp_max(1), 0)
    torch.nan_to_num_(together.mul_(share), 0.0, 0.0, 0.0)
    torch._foreach_copy_(gradients, places)
    return norm, finite


def in_float32(module: nn.Module) -> None:
    """Let a module compute in float32 also where autocast is on; its inputs become float32."""
    forward = module.forward

    def exact(*inputs: Tensor) -> Tensor:
        with torch.autocast(inputs[0].device.type, enabled=False):
            result: Tensor = forward(*(t.float() for t in inputs))
        return result

    module.forward = exact
