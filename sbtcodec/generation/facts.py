"""What a generator's weights file says of itself, read without torch and without its weights."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from sbtcodec.errors import WeightsError
from sbtcodec.generation.config import GeneratorConfig


class Facts(NamedTuple):
    """What stands beside the tensors.

    Attributes:
        config: sizes and classes.
        number: of the model whose global tokens it makes.
        digest: of what that number stands for, hexadecimal.
        card: how it was trained.
    """

    config: GeneratorConfig
    number: int
    digest: str
    card: dict[str, Any]


def facts_in(metadata: dict[str, str] | None) -> Facts:
    """The facts in the metadata of a file.

    Raises:
        KeyError, TypeError, ValueError: they are not those of a generator.
    """
    about = {name: json.loads(text) for name, text in (metadata or {}).items()}
    config = GeneratorConfig.from_json(about["config"])
    return Facts(config, int(about["model"]), str(about["digest"]), dict(about["card"]))


def read_facts(path: Path) -> Facts:
    """The facts of a weights file.

    Raises:
        WeightsError: it is missing, or not one of a generator.
    """
    try:
        with safe_open(path, "np") as file:
            return facts_in(file.metadata())
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} does not hold a generator: {error}") from error
