"""Parameters of predictors: of a released model, averaged ones, and those in checkpoints."""

from pathlib import Path

from torch import Tensor

from sbtcodec.errors import WeightsError
from sbtcodec.tokenizer.model import Tokenizer
from sbtcodec.tokenizer.predictor import Predictor
from sbtcodec.tokenizer.predictor_sizes import PredictorSizes
from sbtcodec.training import checkpoint

RELEASED = {"tokenizer.predictor.": "predictor.", "tokenizer.refiners.0.": "refiner."}


def released_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a predictor among those of a whole model, by name."""
    return {
        new + name.removeprefix(old): value
        for old, new in RELEASED.items()
        for name, value in state.items()
        if name.startswith(old)
    }


def load_into(predictor: Predictor, state: dict[str, Tensor]) -> None:
    """Give a predictor the parameters of another one, or of a whole model.

    Raises:
        WeightsError: they are of other sizes, or of something else.
    """
    try:
        predictor.load_state_dict(released_state(state) or state)
    except RuntimeError as error:
        raise WeightsError(
            f"the weights are not those of a predictor of these sizes: {error}; start from weights"
            " of the same scale, or without any"
        ) from error


def weights_in(path: Path) -> dict[str, Tensor]:
    """Parameters that a predictor can start from, by name: averaged ones, or released.

    Args:
        path: a checkpoint of a predictor or of a whole model, or released weights.

    Raises:
        WeightsError: the file is neither.
    """
    try:
        tensors, _ = checkpoint.load(path)
    except WeightsError:
        return checkpoint.weights_of(path).state
    return checkpoint.averaged(tensors)


def trained_predictor(path: Path, tokenizer: Tokenizer) -> Predictor:
    """The predictor of a checkpoint, with averaged weights, frozen.

    Raises:
        WeightsError: the file is no such checkpoint, or one of another model's tokens.
    """
    tensors, progress = checkpoint.load(path)
    if "predictor" not in progress:
        raise WeightsError(f"{path} is no checkpoint of a predictor; give one of that stage")
    model = Predictor(PredictorSizes(**progress["predictor"]), tokenizer.config)
    load_into(model, checkpoint.averaged(tensors))
    return model.eval().requires_grad_(requires_grad=False)
