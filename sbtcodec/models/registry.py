"""Released models by number: what the manifest beside the weights says, read without torch.

A number stands for what fixes symbols and what they mean (`sbtcodec.models.digest`), for ever. Of
the newest model the folder has everything; of older ones it may have the decoder's half alone.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sbtcodec.errors import ModelMismatchError, WeightsError
from sbtcodec.image.files import write_atomically

MANIFEST = "manifest.json"
FAITHFUL = "faithful"  # the look that every model has, by the decoder in its own weights file
VIVID = "vivid"  # the one that realism mixes with it


@dataclass(frozen=True)
class Entry:
    """A model of a manifest.

    Attributes:
        number: what files carry, 1..255.
        name: for people; `sbt-8.1` is number 8 with a better encoder than `sbt-8` has, or a
            decoder that makes better pictures of the same files.
        file: name of the weights file, in the manifest's folder.
        sha256: of that file, hexadecimal: is it whole?
        digest: of what the number stands for, hexadecimal; see `sbtcodec.models.digest`.
        encoder: whether the file has the encoder's networks; without them it only decodes.
    """

    number: int
    name: str
    file: str
    sha256: str
    digest: str
    encoder: bool = True

    @property
    def abilities(self) -> tuple[str, ...]:
        """What it can be used for."""
        return ("encode", "decode") if self.encoder else ("decode",)


@dataclass(frozen=True)
class Companion:
    """Further weights of a manifest, which go with a model: a generator, or a look.

    Attributes:
        model: number of the model whose global tokens it makes, or whose files it shows.
        name: for people.
        file: name of the weights file, in the manifest's folder.
        sha256: of that file, hexadecimal.
    """

    model: int
    name: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The models of a folder.

    Attributes:
        default: number of the model that encodes.
        models: by rising number.
        retired: numbers that are not here any more, and the last version of the package with them.
        generators: of the models that have one.
        looks: beside the faithful one, which every model has.
    """

    default: int
    models: tuple[Entry, ...]
    retired: dict[int, str]
    generators: tuple[Companion, ...] = ()
    looks: tuple[Companion, ...] = ()

    def looks_of(self, number: int) -> tuple[Companion, ...]:
        """The looks of a model, beside the faithful one."""
        return tuple(look for look in self.looks if look.model == number)

    def look_names(self, number: int) -> tuple[str, ...]:
        """The names of all looks of a model that is here."""
        return (FAITHFUL, *(look.name for look in self.looks_of(number)))

    def entry(self, number: int) -> Entry:
        """The model of a number.

        Raises:
            ModelMismatchError: it is not there; the message says where it is.
        """
        for model in self.models:
            if model.number == number:
                return model
        numbers = ", ".join(str(model.number) for model in self.models)
        if number in self.retired:
            version = self.retired[number]
            advice = f"sbtcodec {version} is the last version that has it: install that one"
        elif number > max((m.number for m in self.models), default=0):
            advice = "a newer sbtcodec has it: upgrade"
        else:
            advice = "no released sbtcodec has it: get the weights that it was made with"
        raise ModelMismatchError(
            f"the file was made with model {number}, this installation has {numbers}; {advice}"
        )


def weights_dir() -> Path:
    """Where the weights are: inside the installed package, or beside it in a checkout.

    Raises:
        WeightsError: they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "weights", package.parent / "weights"):
        if (folder / MANIFEST).is_file():
            return folder
    raise WeightsError(
        f"no weights: {MANIFEST} is neither in {package / 'weights'} nor in "
        f"{package.parent / 'weights'}; reinstall sbtcodec"
    )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder of weights.

    Raises:
        WeightsError: it is missing or damaged.
    """
    path = folder / MANIFEST
    if folder.is_file():
        raise WeightsError(f"{folder} is a file, expected the folder with it and a {MANIFEST}")
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        models = [Entry(**model) for model in content["models"]]
        retired = {int(number): str(v) for number, v in content.get("retired", {}).items()}
        generators = tuple(Companion(**g) for g in content.get("generators", []))
        looks = tuple(Companion(**look) for look in content.get("looks", []))
        manifest = Manifest(int(content["default"]), tuple(models), retired, generators, looks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}; reinstall sbtcodec") from error
    if manifest.default not in [model.number for model in models]:
        raise WeightsError(
            f"{path} has no model {manifest.default}, its default; reinstall sbtcodec"
        )
    return manifest


def checked_weights(folder: Path, entry: Entry | Companion) -> Path:
    """The weights file of a model, of a generator or of a look.

    Raises:
        WeightsError: it is missing, or not the one that the manifest names.
    """
    path = folder / entry.file
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"the weights {path} cannot be read: {error}") from error
    if found != entry.sha256:
        raise WeightsError(
            f"the weights {path} are damaged: SHA-256 {found[:12]}..., the manifest says "
            f"{entry.sha256[:12]}...; reinstall sbtcodec"
        )
    return path


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a folder of weights.

    Raises:
        OutputError: it cannot be written.
    """
    models = [asdict(m) for m in sorted(manifest.models, key=lambda m: m.number)]
    retired = {str(number): version for number, version in sorted(manifest.retired.items())}
    content: dict[str, Any] = {"default": manifest.default, "models": models, "retired": retired}
    if manifest.generators:
        content["generators"] = [asdict(g) for g in manifest.generators]
    if manifest.looks:
        content["looks"] = [asdict(look) for look in manifest.looks]
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(folder / MANIFEST, text.encode(), force=True)
