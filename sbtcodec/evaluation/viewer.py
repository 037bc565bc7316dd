"""The before/after viewer of all pages, as the template `viewer.html` takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Choice:
    """A picture that can be chosen, all as plain text.

    Attributes:
        image_id: the id of its `<img>`.
        label: its name.
        detail: what is told of it below the viewer.
        group: heading in the lists; choices of one group follow each other.
    """

    image_id: str
    label: str
    detail: str = ""
    group: str = ""


@dataclass(frozen=True)
class Viewer:
    """Pictures of one size, two of which are seen at a time.

    Attributes:
        viewer_id: its id, unique in the page.
        name: what is compared, for screen readers.
        choices: at least one.
        left: image id of the picture left of the divider at first.
        right: image id of the one right of it.
        width: of every picture, in pixels.
        height: of every picture, in pixels.
    """

    viewer_id: str
    name: str
    choices: Sequence[Choice]
    left: str
    right: str
    width: int
    height: int

    @property
    def groups(self) -> list[tuple[str, list[Choice]]]:
        """The choices under their headings, in order; an empty heading is not shown."""
        found = groupby(self.choices, key=lambda choice: choice.group)
        return [(group, list(choices)) for group, choices in found]
