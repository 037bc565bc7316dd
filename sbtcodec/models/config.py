"""The sizes of one model, saved as JSON beside its weights."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sbtcodec.tokenizer.config import TokenizerConfig
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of every network of a model.

    Attributes:
        tokenizer: the float networks.
        prior_width: channels of the prior's trunk.
        prior_hidden: hidden channels of the prior's heads.
        scale_width: channels of the network that picks the detail tables.
        scale_trunk: channels of its trunk over global tokens.
        shapes: of detail tables, 1 to 4; beside its scale each symbol has a shape.
        prior_depth: pairs of layers among known tokens.
        scale_depth: pairs of layers among symbols, for each step.
        scale_signs: whether these see the signs of earlier symbols beside their magnitudes.
    """

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    prior_width: int = 96
    prior_hidden: int = 64
    scale_width: int = 96
    scale_trunk: int = 128
    shapes: int = 1
    prior_depth: int = 1
    scale_depth: int = 1
    scale_signs: bool = False

    def with_alone(self, sizes: PredictorSizes | None) -> "ModelConfig":
        """The same with networks of these sizes for files of global tokens alone, or without."""
        return replace(self, tokenizer=replace(self.tokenizer, alone=sizes))

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ModelConfig":
        """The inverse of `to_json`.

        Raises:
            TypeError: a field is unknown or missing.
        """
        rest = dict(data)
        sizes: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in rest.pop("tokenizer").items()
        }
        sizes.setdefault("adapter_width", 0)  # models 1 to 6 have none
        sizes.setdefault("adapter_attention", 0)  # nor has model 7
        sizes.setdefault("alone_attention", 0)  # nor has sbt-8, whose number sbt-8.1 shares
        sizes.setdefault("encoder", True)
        if sizes.get("alone") is not None:
            sizes["alone"] = PredictorSizes(**sizes["alone"])
        return cls(tokenizer=TokenizerConfig(**sizes), **rest)
