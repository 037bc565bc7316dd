"""The before/after viewer of all pages: its markup; `viewer.css` and `viewer.js` do the rest.

The viewer holds no pictures: each choice names an `<img>` that stands elsewhere in the page.
Without scripts it stays hidden, and those pictures are still there to see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE, SCRIPT = "viewer.css", "viewer.js"
"""File names for `page.render_page`."""


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


def viewer(
    viewer_id: str,
    choices: Sequence[Choice],
    *,
    left: str,
    right: str,
    width: int,
    height: int,
    name: str,
) -> str:
    """The markup of a viewer.

    Args:
        viewer_id: its id, unique in the page.
        choices: pictures of one size, at least one.
        left: image id of the picture left of the divider at first.
        right: image id of the one right of it.
        width: of every picture, in pixels.
        height: of every picture, in pixels.
        name: what is compared, for screen readers.
    """
    uid = escape(viewer_id)
    zooms = "".join(
        f'<label><input type="radio" name="{uid}-zoom" value="{value}"{checked}>'
        f"<span>{label}</span></label>"
        for value, label, checked in (
            ("fit", "Fit", " checked"),
            ("1", "1×", ""),
            ("2", "2×", ""),
            ("4", "4×", ""),
        )
    )
    return f"""<section class="viewer" id="{uid}" aria-label="{escape(name)}" hidden
 data-width="{width}" data-height="{height}" style="--w:{width};--h:{height}">
<div class="viewer-bar">
<label class="viewer-choice"><span>Left</span>
<select class="viewer-left">{_options(choices, left)}</select></label>
<button type="button" class="viewer-swap" aria-label="Swap left and right"
 title="Swap (X)">⇄</button>
<label class="viewer-choice"><span>Right</span>
<select class="viewer-right">{_options(choices, right)}</select></label>
<fieldset class="viewer-zoom"><legend>Zoom</legend>{zooms}</fieldset>
<label class="viewer-toggle"><input type="checkbox" class="viewer-difference">
<span>Difference ×4</span></label>
</div>
<div class="viewer-frame">
<div class="viewer-stage" tabindex="0" role="group" aria-label="Pictures; arrow keys move them when
 zoomed, plus and minus zoom">
<div class="viewer-layer viewer-under"></div>
<div class="viewer-layer viewer-over"></div>
<div class="viewer-layer viewer-delta" hidden></div>
<div class="viewer-handle" role="slider" tabindex="0" aria-label="Divider"
 aria-orientation="horizontal" aria-valuemin="0" aria-valuemax="100" aria-valuenow="50"></div>
</div>
<div class="viewer-captions"><p class="viewer-caption-left"></p>
<p class="viewer-result" role="status"></p><p class="viewer-caption-right"></p></div>
</div>
<p class="viewer-keys">Drag the divider, or move it with <kbd>←</kbd> <kbd>→</kbd> <kbd>Home</kbd>
<kbd>End</kbd>. <kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>0</kbd> fits, drag or arrow keys move the
enlarged picture, <kbd>D</kbd> shows the difference, <kbd>X</kbd> swaps.</p>
</section>"""


def choose_button(viewer_id: str, image_id: str, label: str, picture: str) -> str:
    """A picture, given as HTML, as a button that puts it to the right of a viewer's divider."""
    return (
        f'<button type="button" class="choose" data-viewer="{escape(viewer_id)}"'
        f' data-choose="{escape(image_id)}" aria-label="{escape(label)}: show in the viewer">'
        f"{picture}</button>"
    )


def _options(choices: Sequence[Choice], chosen: str) -> str:
    parts, group = [], ""
    for choice in choices:
        if choice.group != group:
            parts.append("</optgroup>" if group else "")
            parts.append(f'<optgroup label="{escape(choice.group)}">' if choice.group else "")
            group = choice.group
        selected = " selected" if choice.image_id == chosen else ""
        parts.append(
            f'<option value="{escape(choice.image_id)}" data-detail="{escape(choice.detail)}"'
            f"{selected}>{escape(choice.label)}</option>"
        )
    parts.append("</optgroup>" if group else "")
    return "".join(parts)
