"""HTML pages of one file each, made of the Jinja templates in the folder `templates`.

A page loads nothing: its styles and its script are inline, its pictures are data URIs, and its
content security policy forbids anything else. Python computes values, templates say how they look
and escape them; only plots are drawn in Python, see `plots`.
"""

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from sbtcodec.evaluation.table import measured_range, number, percent


def render_page(template: str, **values: object) -> str:
    """A complete HTML document.

    Args:
        template: file name of one that extends `page.html`.
        values: what it shows, each escaped.

    Raises:
        jinja2.UndefinedError: the template shows a value that is missing.
    """
    return _environment().get_template(template).render(values)


def grouped(value: int) -> str:
    """A whole number with an unbreakable space between thousands."""
    return f"{value:,}".replace(",", "\N{NO-BREAK SPACE}")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sbtcodec.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (grouped, number, percent, measured_range):
        environment.filters[function.__name__] = function
    environment.filters["sha256"] = _sha256
    return environment


def _sha256(text: str) -> str:
    """The digest by which a content security policy names a script, in Base64."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
