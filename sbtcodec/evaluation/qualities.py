"""Quality settings as the benchmark names them: a number, or `globals` for the base layer alone."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from sbtcodec.errors import SbtError

VIVID_NAME = "sbt:vivid"
OURS = ("sbt", VIVID_NAME)
"""Names of our codec, by the looks that it decodes with; of these alone `globals` is a quality."""

GLOBALS: Literal["globals"] = "globals"

Quality: TypeAlias = float | Literal["globals"]
"""A codec's own quality number, or `"globals"`: an sbt file of global tokens only."""


def parse_quality(text: str) -> Quality:
    """Read one quality from text; whole numbers come back as `int`.

    Raises:
        SbtError: the text is neither a number from 0 to 100 nor `globals`.
    """
    word = text.strip()
    if word == GLOBALS:
        return GLOBALS
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        msg = f"quality {word!r} is neither a number from 0 to 100 nor '{GLOBALS}'"
        raise SbtError(msg)
    return int(value) if value.is_integer() else value


def quality_label(quality: Quality) -> str:
    """Text of a quality that `parse_quality` reads back: `12`, `12.5`, `globals`."""
    return quality if isinstance(quality, str) else f"{quality:g}"


def parse_qualities(
    options: Iterable[str], codecs: Sequence[str]
) -> dict[str, tuple[Quality, ...]]:
    """Read the `--qualities` options.

    Each option is a list for every codec, `10,50,90`, or for one, `sbt=globals,10,50`; a list for
    one codec wins over a list for every codec, and `globals` in the latter reaches only sbt and
    sbt:vivid.

    Args:
        options: the options in the order given.
        codecs: names of the codecs that will run.

    Returns:
        The qualities of each codec named by an option, without repetitions; a codec that no option
        concerns is absent, and so keeps its default qualities.

    Raises:
        SbtError: a quality cannot be read, or an option names a codec that will not run.
    """
    common: dict[str, tuple[Quality, ...]] = {}
    own: dict[str, tuple[Quality, ...]] = {}
    for option in options:
        name, equals, text = option.rpartition("=")
        values = tuple(dict.fromkeys(parse_quality(word) for word in text.split(",")))
        if equals and name not in codecs:
            msg = f"the option {option!r} is for the codec {name!r}; running: {', '.join(codecs)}"
            raise SbtError(msg)
        if equals:
            own[name] = values
        else:
            numbers = tuple(value for value in values if value != GLOBALS)
            common = {codec: values if codec in OURS else numbers for codec in codecs}
    return {codec: values for codec, values in (common | own).items() if values}
