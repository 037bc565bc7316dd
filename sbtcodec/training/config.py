"""What a training run is told, saved with its checkpoints."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from sbtcodec.errors import ArgumentError
from sbtcodec.models.config import ModelConfig
from sbtcodec.models.stored import ENCODER
from sbtcodec.tokenizer.config import TokenizerConfig

R = TypeVar("R")


def recipe_of(preset: str, presets: Mapping[str, R]) -> R:
    """The recipe, or whatever else goes with a preset, of that name.

    Raises:
        ArgumentError: there is no such preset.
    """
    if preset not in presets:
        raise ArgumentError(f"unknown preset {preset!r}; choose from {', '.join(presets)}")
    return presets[preset]


@dataclass(frozen=True)
class TrainingConfig:
    """Recipe of a run. Rates are in bits per pixel, errors in squared 8-bit units.

    Attributes:
        minutes: length of the run; the learning rate falls to zero over its last part.
        seed: of weights, crops and noise.
        small_crop: side and number of crops in the first part of the run.
        large_crop: the same for the rest.
        small_share: share of the run on small crops.
        learning_rate: peak of AdamW.
        matrix_learning_rate: peak of Muon for pointwise and attention matrices; 0 uses AdamW.
        warmup_steps: steps of linear warm-up.
        decay_share: share of the run, at its end, over which the rates fall linearly to zero.
        lmbda_min: weight of the squared error at quality 0 (loss: bpp + lmbda * mse).
        lmbda_max: the same at quality 100; log-linear between.
        lmbda_globals: weight of the squared error of images sent without detail layers.
        balance: losses are weighted by (lmbda / lmbda_globals)^-balance, so that high rates do
            not drown low ones.
        ms_ssim_share: share of the distortion that is 1 - MS-SSIM instead of the squared error.
        ms_ssim_share_globals: the same for images sent without detail layers.
        log_globals: of images sent without detail layers not the distortion counts but this times
            its logarithm, which is the mean PSNR; 0 for the distortion itself.
        globals_share: share of images sent without detail layers.
        partial_share: share of images sent with some detail layers but not all.
        bootstrap_weight: weight of the error between predicted and actual local tokens.
        target_token_bits: the token rate is weighted as needed to hold this many bits a token.
        token_weight: that weight at the start.
        noisy_rate: the rate of details is that of residuals with noise, not of symbols; at low
            qualities it is several times that of the symbols.
        bit_weights: squared steps that a bit is worth where a detail symbol is chosen, at qualities
            0 and 100, linear between; 0 rounds.
        only: beginnings of the names of the parameters that learn; all if there is none.
        ema: decay of the averaged weights.
        clip: largest norm of the gradient.
        revive: at a warm start, make local channels anew that carry nothing.
    """

    minutes: float = 120.0
    seed: int = 0
    small_crop: tuple[int, int] = (128, 32)
    large_crop: tuple[int, int] = (256, 8)
    small_share: float = 0.55
    learning_rate: float = 1e-3
    matrix_learning_rate: float = 0.0
    warmup_steps: int = 300
    decay_share: float = 0.5
    lmbda_min: float = 0.00006
    lmbda_max: float = 0.08
    lmbda_globals: float = 0.0008
    balance: float = 0.3
    ms_ssim_share: float = 0.0
    ms_ssim_share_globals: float = 0.0
    log_globals: float = 0.0
    globals_share: float = 0.25
    partial_share: float = 0.15
    bootstrap_weight: float = 0.02
    target_token_bits: float = 16.0
    token_weight: float = 0.1
    noisy_rate: bool = True
    bit_weights: tuple[float, float] = (0.0, 0.0)
    only: tuple[str, ...] = ()
    ema: float = 0.999
    clip: float = 1.0
    revive: bool = False

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)


BASE = TrainingConfig()
FINISH = replace(
    BASE, matrix_learning_rate=2e-3, small_share=0.0, warmup_steps=100, decay_share=0.85
)
ALL_BUT_GAINS = (
    "prior.",
    "scales.",
    *(f"tokenizer.{network}." for network in ("predictor", "refiners", "decoder")),
    *ENCODER,
)
SYMBOLS = replace(
    FINISH,
    noisy_rate=False,
    bit_weights=(0.08, 0.04),
    ms_ssim_share=0.5,
    ms_ssim_share_globals=0.06,
    log_globals=400.0,
    large_crop=(256, 8),
    globals_share=0.2,
    partial_share=0.1,
    target_token_bits=17.0,
    token_weight=0.25,
    learning_rate=3.5e-4,
    matrix_learning_rate=9e-4,
    warmup_steps=60,
    decay_share=1.0,
    only=ALL_BUT_GAINS,
    ema=0.998,
    seed=13,
)
PRESETS: dict[str, TrainingConfig] = {
    "base": BASE,
    "muon": replace(BASE, matrix_learning_rate=2e-3),
    "finish": FINISH,
    "structure": replace(
        FINISH,
        ms_ssim_share=0.25,
        ms_ssim_share_globals=0.08,
        globals_share=0.3,
        partial_share=0.1,
        balance=0.2,
        target_token_bits=18.0,
        learning_rate=6e-4,
        matrix_learning_rate=1.4e-3,
        warmup_steps=200,
        decay_share=1.0,
        ema=0.998,
        seed=9,
    ),
    "symbols": SYMBOLS,
    "settle": replace(
        SYMBOLS,
        ms_ssim_share=0.25,
        token_weight=0.54,
        learning_rate=1e-4,
        matrix_learning_rate=2.5e-4,
        warmup_steps=10,
        ema=0.99,
        seed=14,
    ),
    "encoder": replace(
        SYMBOLS,
        ms_ssim_share=0.4,
        token_weight=0.54,
        learning_rate=2e-4,
        matrix_learning_rate=5e-4,
        only=ENCODER,
        seed=15,
    ),
    "alone": replace(
        FINISH,
        globals_share=1.0,
        partial_share=0.0,
        log_globals=400.0,
        target_token_bits=17.9,
        token_weight=2.0,
        only=("tokenizer.alone_adapter.",),
        learning_rate=6e-4,
        matrix_learning_rate=1.4e-3,
        decay_share=1.0,
        ema=0.995,
        seed=8,
    ),
    "revive": replace(FINISH, revive=True),
    "tiny": replace(BASE, small_crop=(64, 2), large_crop=(64, 2), warmup_steps=10),
}
"""Recipes by name; each states only its difference from the base."""

TINY_TOKENIZER = TokenizerConfig(
    widths=(8, 16, 32),
    encoder_depths=(1, 1, 1),
    decoder_depths=(1, 1, 1),
    local_channels=16,
    groups=(2, 2, 4, 8),
    global_width=64,
    heads=2,
    encoder_attention=2,
    predictor_attention=2,
    predictor_depth=1,
    refine_width=16,
    adapter_width=16,
)
GROWN = ModelConfig(
    TokenizerConfig(
        refine_depth=2, local_channels=256, groups=(16, 32, 48, 64, 96), fine_channels=96
    ),
    prior_depth=3,
    scale_depth=2,
    scale_signs=True,
)
"""Beyond model 8: deeper where it costs little, and a detail layer of fine channels."""
MODELS: dict[str, ModelConfig] = {
    "base": GROWN,
    "tiny": ModelConfig(TINY_TOKENIZER, 16, 16, 16, 16),
}
"""Sizes by preset name; a preset without its own uses the base."""
