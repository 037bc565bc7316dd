"""Growing a trained model: what a larger one needs beyond it starts as good as the smaller one.

New dimensions of the global tokens come after the old ones; the networks that read tokens ignore
them at first (their new input weights are zero). A new anchor of the gains comes below the old ones
and starts as a copy of the lowest, with larger steps. Where levels get finer, their logits start
between those of the coarser ones. Adapters start as the identity; that of global tokens alone
starts as a copy of the one for all. Further layers of refiners, prior and entropy parameters start
as the identity, and signs of symbols are ignored at first. Fine channels come after all others;
`sbtcodec.training.fine_channels` measures what they should be.
"""

from dataclasses import replace

import torch
from torch import Tensor

from sbtcodec.errors import WeightsError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.config import ModelConfig

NATS_BETWEEN_ANCHORS = (
    0.6  # the step size follows the root of lambda, 3.3-fold from one to the next
)


def grown(
    state: dict[str, Tensor], old: ModelConfig, new: ModelConfig, model: CodecModel
) -> dict[str, Tensor]:
    """Parameters for `new` from those of `old`.

    Args:
        state: parameters of the old model, by name.
        old: its sizes.
        new: the same sizes, but for more or further FSQ levels, further gain anchors, adapters
            where there were none, deeper networks, signs where they were not seen, and detail
            layers of fine channels.
        model: a freshly initialised model of the new sizes; gives the parameters that are new.

    Raises:
        WeightsError: the sizes differ in something else.
    """
    levels, anchors = new.tokenizer.levels, new.tokenizer.gain_anchors
    before = old.tokenizer.levels
    more = anchors - old.tokenizer.gain_anchors
    sizes = replace(
        old.tokenizer,
        levels=levels,
        gain_anchors=anchors,
        adapter_width=old.tokenizer.adapter_width or new.tokenizer.adapter_width,
        adapter_attention=old.tokenizer.adapter_attention or new.tokenizer.adapter_attention,
        alone_attention=old.tokenizer.alone_attention or new.tokenizer.alone_attention,
        refine_depth=max(old.tokenizer.refine_depth, new.tokenizer.refine_depth),
    )
    fine = new.tokenizer.fine_channels if not old.tokenizer.fine_channels else 0
    if fine and new.tokenizer.groups[: old.tokenizer.layers] == old.tokenizer.groups:
        channels = old.tokenizer.local_channels + fine
        groups = new.tokenizer.groups
        sizes = replace(sizes, local_channels=channels, groups=groups, fine_channels=fine)
    deeper = replace(
        old,
        tokenizer=sizes,
        prior_depth=max(old.prior_depth, new.prior_depth),
        scale_depth=max(old.scale_depth, new.scale_depth),
        scale_signs=old.scale_signs or new.scale_signs,
    )
    coarser = len(levels) < len(before) or any(k < b for k, b in zip(levels, before, strict=False))
    if deeper != new or coarser or more < 0:
        raise WeightsError(f"cannot start a model of {new} from one of {old}")
    state = {name: _with_anchors(name, value, more, old) for name, value in state.items()}
    made = {}
    for name, fresh in model.named_parameters():
        value = fresh.detach().clone()
        twin = name.replace(".alone_adapter.", ".token_adapter.")
        if name in state and state[name].shape == value.shape:
            value = state[name].clone()
        elif name in state:
            kept = state[name]
            if name == "tokenizer.global_encoder.head.weight":
                value[: len(before)] = kept
            elif name == "tokenizer.decoder.condition.weight":
                # of the numbers of layers that arrived: with all, it is as it was with all
                value = torch.cat([kept, kept[:, -1:].repeat(1, value.shape[1] - kept.shape[1])], 1)
            elif name.startswith("prior.heads."):
                value = finer(kept, len(value))
            elif name == "prior.enter.weight":  # the plane of known tokens stays last
                value.zero_()
                value[:, : len(before)] = kept[:, :-1]
                value[:, -1:] = kept[:, -1:]
            else:
                value = torch.zeros_like(value)
                value[tuple(slice(n) for n in kept.shape)] = kept
        elif twin in state:
            value = state[twin].clone()
        made[name] = value
    return made


def finer(rows: Tensor, count: int) -> Tensor:
    """Rows [K, ...] that belong to equal parts of an interval, interpolated for `count` parts."""
    at = ((torch.arange(count) + 0.5) * (len(rows) / count) - 0.5).clamp(0, len(rows) - 1)
    low = at.long()
    share = (at - low).view(-1, *[1] * (rows.ndim - 1))
    return torch.lerp(rows[low], rows[(low + 1).clamp(max=len(rows) - 1)], share)


def _with_anchors(name: str, value: Tensor, more: int, old: ModelConfig) -> Tensor:
    """A parameter with `more` anchors below the lowest one."""
    if name == "tokenizer.log_gains":
        steps = torch.arange(more, 0, -1)[:, None] * NATS_BETWEEN_ANCHORS
        return torch.cat([value[:1] - steps, value])
    if name in {"tokenizer.decoder.condition.weight", "tokenizer.adapter.told.weight"}:
        return torch.cat([value[:, :1].repeat(1, more), value], 1)
    if name.startswith("scales.enter.") and name.endswith(".weight"):
        at = old.scale_width  # the anchors follow the features
        copies = value[:, at : at + 1].repeat(1, more, 1, 1)
        return torch.cat([value[:, :at], copies, value[:, at:]], 1)
    return value
