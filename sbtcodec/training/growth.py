"""Growing a trained model: more dimensions in its global tokens, everything else kept.

New dimensions come after the old ones. The networks that read tokens ignore them at first (their
new input weights are zero), so the grown model starts as good as the old one.
"""

from dataclasses import replace

import torch
from torch import Tensor

from sbtcodec.errors import WeightsError
from sbtcodec.model import CodecModel, ModelConfig


def grown(
    state: dict[str, Tensor], old: ModelConfig, new: ModelConfig, model: CodecModel
) -> dict[str, Tensor]:
    """Parameters for `new` from those of `old`.

    Args:
        state: parameters of the old model, by name.
        old: its sizes.
        new: the same sizes, but for further FSQ levels at the end.
        model: a freshly initialised model of the new sizes; gives the parameters that are new.

    Raises:
        WeightsError: the sizes differ in something else.
    """
    before, after = old.tokenizer.levels, new.tokenizer.levels
    same_but_levels = replace(old, tokenizer=replace(old.tokenizer, levels=after)) == new
    if not same_but_levels or after[: len(before)] != before:
        raise WeightsError(f"cannot start a model of {new} from one of {old}")
    made = {}
    for name, fresh in model.named_parameters():
        value = fresh.detach().clone()
        if name in state and state[name].shape == value.shape:
            value = state[name].clone()
        elif name in state:
            kept = state[name]
            if name == "tokenizer.global_encoder.head.weight":
                value[: len(before)] = kept
            elif name == "prior.enter.weight":  # the plane of known tokens stays last
                value.zero_()
                value[:, : len(before)] = kept[:, :-1]
                value[:, -1:] = kept[:, -1:]
            else:
                value = torch.zeros_like(value)
                value[tuple(slice(n) for n in kept.shape)] = kept
        made[name] = value
    return made
