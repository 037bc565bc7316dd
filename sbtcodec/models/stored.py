"""What a weights file stores: tensors as NumPy arrays, sizes and card; read without torch.

Integer tensors are stored as integers. The names of tensors are those that `docs/format.md` fixes;
parameters have the same ones in the code, and `tables.hats` are its anchor weights.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from sbtcodec.errors import WeightsError
from sbtcodec.models.config import ModelConfig
from sbtcodec.models.digest import Array, pictures_digest, symbols_digest

# Parts of the tokenizer that only an encoder runs.
ENCODER = tuple(
    f"tokenizer.{part}."
    for part in ("local_encoder", "global_encoder", "adapter", "token_adapter", "alone_adapter")
)

ALONE = "tokenizer.alone."  # networks that show pictures of global tokens alone


def digests(path: Path) -> tuple[bytes, bytes]:
    """The digests of released weights: of what their number stands for, and of their pictures.

    Raises:
        WeightsError: the file is not one of released weights.
    """
    config, stored, _ = read_tensors(path, encoder=False)
    return symbols_digest(config, stored), pictures_digest(config, stored)


def read_tensors(
    path: Path, *, encoder: bool = True
) -> tuple[ModelConfig, dict[str, Array], dict[str, Any]]:
    """Configuration, tensors as they are stored, and card of a weights file.

    Args:
        path: the file.
        encoder: also what an encoder alone runs; without it, the model is one that only decodes.

    Raises:
        WeightsError: the file is not one of released weights.
    """
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata()
            config = ModelConfig.from_json(json.loads(metadata["config"]))
            card = json.loads(metadata.get("card", "{}"))
            names = list(file.keys())
            if not encoder:
                config = replace(config, tokenizer=replace(config.tokenizer, encoder=False))
                names = [name for name in names if not name.startswith(ENCODER)]
            return config, {name: file.get_tensor(name) for name in names}, card
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not hold released weights: {error}") from error
