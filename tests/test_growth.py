"""Growing and reviving a model keeps what it had learned."""

from dataclasses import replace

import pytest
import torch

from sbtcodec.errors import WeightsError
from sbtcodec.models.codec_model import CodecModel
from sbtcodec.models.config import ModelConfig
from sbtcodec.training.config import BASE, MODELS
from sbtcodec.training.fine_channels import set_fine_channels
from sbtcodec.training.growth import grown
from sbtcodec.training.revival import revive
from sbtcodec.training.step import Pass, TrainingPass


def with_levels(levels: tuple[int, ...]) -> ModelConfig:
    tiny = MODELS["tiny"]
    return replace(tiny, tokenizer=replace(tiny.tokenizer, levels=levels))


def parameters(model: CodecModel) -> dict[str, torch.Tensor]:
    return {k: v.detach() for k, v in model.named_parameters()}


def forward(model: CodecModel, quality: tuple[float, float] = (10.0, 200.0)) -> Pass:
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    channels = model.config.tokenizer.local_channels
    with torch.no_grad():
        out: Pass = TrainingPass(model)(
            x, torch.tensor(quality), torch.tensor([0, 4]), torch.zeros(2, channels, 4, 4)
        )
    return out


def test_a_grown_model_starts_with_the_pictures_of_the_old_one() -> None:
    torch.manual_seed(0)
    old, new = with_levels((8, 6)), with_levels((8, 6, 5, 4))
    small, large = CodecModel(old), CodecModel(new)
    large.load_state_dict(grown(parameters(small), old, new, large), strict=False)
    before, after = forward(small), forward(large)
    assert torch.allclose(before.mse, after.mse, rtol=1e-5)
    assert torch.equal(before.detail_bpp, after.detail_bpp)
    assert (after.token_bits > before.token_bits + 3).all()


def test_deeper_networks_start_as_the_shallower_ones() -> None:
    torch.manual_seed(0)
    old = MODELS["tiny"]
    tokenizer = replace(old.tokenizer, refine_depth=3)
    new = replace(old, tokenizer=tokenizer, prior_depth=3, scale_depth=2, scale_signs=True)
    small, large = CodecModel(old), CodecModel(new)
    made = grown(parameters(small), old, new, large)
    assert len(made) > len(parameters(small))
    large.load_state_dict(made, strict=False)
    before, after = forward(small), forward(large)
    assert (before.detail_bpp[1] > 0.1).all()
    for name in ("mse", "detail_bpp", "token_bits"):
        assert torch.allclose(getattr(before, name), getattr(after, name), rtol=1e-5)
    with torch.no_grad():  # and are no longer once they have learned
        for name, p in large.named_parameters():
            if ".deeper." in name:
                p.add_(0.1)
    learned = forward(large)
    assert not torch.allclose(after.mse, learned.mse, rtol=1e-3)
    assert not torch.allclose(after.detail_bpp, learned.detail_bpp, rtol=1e-3)
    assert not torch.allclose(after.token_bits, learned.token_bits, rtol=1e-3)


def test_finer_levels_are_as_likely_as_the_coarser_ones_around_them() -> None:
    torch.manual_seed(0)
    old, new = with_levels((8, 6)), with_levels((9, 6))
    small, large = CodecModel(old), CodecModel(new)
    with torch.no_grad():
        small.prior.heads[0].bias.copy_(torch.linspace(-4, 4, 8))
    made = grown(parameters(small), old, new, large)
    bias = made["prior.heads.0.bias"]
    assert bias.shape == (9,)
    assert bias[0] == -4
    assert bias[-1] == 4
    assert (bias.diff() > 0).all()
    assert torch.equal(made["prior.heads.1.weight"], small.prior.heads[1].weight)


def test_a_new_adapter_changes_nothing_at_first() -> None:
    torch.manual_seed(0)
    new = MODELS["tiny"]
    old = replace(
        new,
        tokenizer=replace(new.tokenizer, adapter_width=0, adapter_attention=0, alone_attention=0),
    )
    small, large = CodecModel(old), CodecModel(new)
    large.load_state_dict(grown(parameters(small), old, new, large), strict=False)
    before, after = forward(small), forward(large)
    assert torch.equal(before.mse, after.mse)
    assert torch.equal(before.detail_bpp, after.detail_bpp)
    assert large.tokenizer.adapter is not None
    assert large.tokenizer.token_adapter is not None


def test_an_adapter_of_global_tokens_alone_starts_as_a_copy_of_the_one_for_all() -> None:
    torch.manual_seed(0)
    new = MODELS["tiny"]
    old = replace(new, tokenizer=replace(new.tokenizer, alone_attention=0))
    small, large = CodecModel(old), CodecModel(new)
    assert small.tokenizer.token_adapter is not None
    torch.nn.init.normal_(small.tokenizer.token_adapter.head.weight)
    large.load_state_dict(grown(parameters(small), old, new, large), strict=False)
    assert torch.equal(forward(small).mse, forward(large).mse)
    first, others = (large.tokenizer.token_adapter_of(step) for step in (0, 1))
    assert first is not others
    assert large.tokenizer.token_adapter_of(2) is others


def test_a_new_anchor_starts_below_the_lowest_and_leaves_the_others_alone() -> None:
    torch.manual_seed(0)
    new = MODELS["tiny"]
    old = replace(new, tokenizer=replace(new.tokenizer, gain_anchors=6))
    small, large = CodecModel(old), CodecModel(new)
    with torch.no_grad():
        small.tokenizer.decoder.condition.weight.normal_()
    large.load_state_dict(grown(parameters(small), old, new, large), strict=False)
    before, after = forward(small, (0.0, 255.0)), forward(large, (255 / 6, 255.0))
    assert torch.allclose(before.mse, after.mse, rtol=1e-5)
    assert torch.allclose(before.detail_bpp, after.detail_bpp, rtol=1e-5)
    gains = large.tokenizer.log_gains
    assert (gains[0] < gains[1]).all()


def with_fine_channels() -> ModelConfig:
    tiny = MODELS["tiny"]
    sizes = {"local_channels": 24, "groups": (2, 2, 4, 8, 8), "fine_channels": 8}
    return replace(tiny, tokenizer=replace(tiny.tokenizer, **sizes))


def test_fine_channels_show_what_was_left_and_leave_all_else_alone() -> None:
    torch.manual_seed(0)
    old, new = MODELS["tiny"], with_fine_channels()
    small, large = CodecModel(old), CodecModel(new)
    with torch.no_grad():
        small.tokenizer.decoder.condition.weight.normal_()
        small.tokenizer.decoder.leave[0].weight *= 0.01  # shows hardly anything
    large.load_state_dict(grown(parameters(small), old, new, large), strict=False)
    patterns, shares = torch.randn(4, 3, 16, 16), 0.1 * torch.randn(12, 4, 4, 4)
    x = torch.einsum("kcuv,bkhw->bchuwv", patterns, shares).reshape(12, 3, 64, 64)
    x = (x + 0.5).clamp(0, 1)
    set_fine_channels(large, x, BASE)
    before, after = forward(small, (10.0, 255.0)), forward(large, (10.0, 255.0))
    for name in ("mse", "detail_bpp", "token_bits"):  # without the new layer
        assert torch.allclose(getattr(before, name), getattr(after, name), rtol=1e-4)

    def coded(quality: float, layers: int) -> Pass:
        channels = large.config.tokenizer.local_channels
        with torch.no_grad():
            out: Pass = TrainingPass(large)(
                x[:2],
                torch.tensor([quality] * 2),
                torch.tensor([layers] * 2),
                torch.zeros(2, channels, 4, 4),
            )
        return out

    assert (coded(255.0, 5).mse < 0.2 * coded(255.0, 4).mse).all()
    assert (coded(255.0, 5).detail_bpp > coded(255.0, 4).detail_bpp).all()


def test_other_differences_cannot_be_grown() -> None:
    old, new = with_levels((8, 6)), with_levels((6, 8, 5))
    with pytest.raises(WeightsError, match="cannot start"):
        grown({}, old, new, CodecModel(new))
    wider = replace(with_levels((8, 6, 5)), prior_width=32)
    with pytest.raises(WeightsError, match="cannot start"):
        grown({}, old, wider, CodecModel(wider))


def test_silent_channels_get_information_and_others_stay() -> None:
    torch.manual_seed(0)
    model = CodecModel(MODELS["tiny"])
    head = model.tokenizer.local_encoder.layers[-1]
    with torch.no_grad():
        model.tokenizer.log_gains[-1] = 4.0
        head.weight[8:] *= 1e-6
        kept = head.weight[:8].clone()
    x = torch.rand(4, 3, 64, 64)
    assert revive(model, x) == 8
    assert torch.equal(head.weight[:8], kept)
    with torch.no_grad():
        y = model.tokenizer.local_encoder(x)
    flat = y.permute(1, 0, 2, 3).flatten(1)
    deviation = flat.std(1)
    assert deviation[8:].min() > 0.3
    assert flat[8:].mean(1).abs().max() < 0.05
    across = torch.corrcoef(flat)[8:, :8].abs()
    assert across.max() < 0.1, "revived channels repeat what live ones say"
    assert forward(model).detail_bpp[1] > 0


def test_a_model_without_silent_channels_is_left_alone() -> None:
    torch.manual_seed(0)
    model = CodecModel(MODELS["tiny"])
    with torch.no_grad():
        model.tokenizer.log_gains[-1] = 6.0
    before = {k: v.clone() for k, v in parameters(model).items()}
    assert revive(model, torch.rand(4, 3, 64, 64)) == 0
    assert all(torch.equal(before[k], v) for k, v in parameters(model).items())
