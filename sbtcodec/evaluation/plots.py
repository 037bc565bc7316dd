"""Rate-distortion plots as inline SVG: logarithmic rate axis, a curve a codec, titles on hover.

Colours come from the page: curve `i` is drawn in `var(--curve-i)`, everything else in
`var(--ink)`, `var(--muted)`, `var(--grid)` and `var(--paper)`, so that one SVG serves light and
dark. Curves also differ in the shape of their marks, for readers who do not see the colours.

Drawn here and not by a template: nearly every attribute is a computed coordinate, and a template
would split the geometry between two languages. So texts are escaped by hand here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

WIDTH, HEIGHT = 520, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 24, 14, 56
_ROW = 22
"""Height of a row of the legend."""

CURVE_COLOURS = 6
"""How many curve colours the page defines; further curves repeat all but the first."""


@dataclass(frozen=True)
class PlotPoint:
    """A point of a curve: rate in bpp (above 0), value, and what its title says."""

    bpp: float
    value: float
    title: str


@dataclass(frozen=True)
class Series:
    """A curve with its name in the legend; dashed where it was not measured here."""

    name: str
    points: tuple[PlotPoint, ...]
    dashed: bool = False

    @property
    def stroke(self) -> str:
        """The attribute of its line, if any."""
        return ' stroke-dasharray="6 4"' if self.dashed else ""


@dataclass(frozen=True)
class _Frame:
    """Maps rate and value to pixels of the SVG; `y_low` is the value at the bottom."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, bpp: float) -> float:
        part = (math.log10(bpp) - math.log10(self.x_low)) / math.log10(self.x_high / self.x_low)
        return _LEFT + part * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        part = (value - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM)


def rate_distortion_svg(
    series: Sequence[Series],
    *,
    title: str,
    y_label: str,
    x_label: str = "bits per pixel",
    falling: bool = False,
) -> str:
    """A plot of value against rate, or against something else that is above 0.

    Args:
        series: the curves, the most important first: it is drawn on top, with a thicker line.
            Points whose value is not finite are left out.
        title: what the plot shows, read out by screen readers.
        y_label: name and unit of the value.
        x_label: what is along the logarithmic axis.
        falling: whether values fall upwards, so that better is up where less is better.

    Returns:
        An `<svg>` element; an empty frame with a note when there is nothing to draw.
    """
    shown = [
        replace(one, points=tuple(p for p in one.points if math.isfinite(p.value)))
        for one in series
    ]
    points = [point for one in shown for point in one.points]
    # Many long names do not fit beside the curves.
    below = any(one.dashed for one in shown)
    height = HEIGHT + (_ROW * -(-len(shown) // 2) + 12 if below else 0)
    head = (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    )
    if not points:
        note = f'<text x="{WIDTH / 2:g}" y="{HEIGHT / 2:g}" text-anchor="middle">no values</text>'
        return f"{head}{note}</svg>"
    x_ticks = log_ticks(min(p.bpp for p in points), max(p.bpp for p in points))
    y_ticks = linear_ticks(min(p.value for p in points), max(p.value for p in points))
    ends = (y_ticks[-1], y_ticks[0]) if falling else (y_ticks[0], y_ticks[-1])
    frame = _Frame(x_ticks[0], x_ticks[-1], *ends)
    body = [_axes(frame, x_ticks, y_ticks, x_label, y_label)]
    # Later elements cover earlier ones, so the first curve is drawn last.
    body += [_curve(frame, index, one) for index, one in reversed(list(enumerate(shown)))]
    body.append(_legend_below(shown) if below else _legend(shown))
    return "\n".join([head, *body, "</svg>"])


def log_ticks(low: float, high: float) -> list[float]:
    """Values 1, 2 and 5 times powers of ten, from the last at or below `low` to beyond `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = [m * 10.0**e for e in range(first - 1, last + 2) for m in (1, 2, 5)]
    start = max(i for i, step in enumerate(steps) if step <= low * (1 + 1e-9))
    end = min(i for i, step in enumerate(steps) if step >= high * (1 - 1e-9))
    return steps[start : max(end, start + 1) + 1]


def linear_ticks(low: float, high: float, count: int = 7) -> list[float]:
    """About `count` round values that enclose `low` and `high`."""
    span = max(high - low, 1e-6 * max(abs(high), 1.0))
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * count >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def mark(index: int, x: float, y: float, title: str = "") -> str:
    """The mark of curve `index` at a place, with a title to show on hover.

    Circle, square, diamond, triangle up and triangle down, then again from the start.
    """
    inside = f"<title>{escape(title)}</title>" if title else ""
    shape = index % 5
    if shape == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5">{inside}</circle>'
    if shape == 1:
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8">{inside}</rect>'
    offsets = {
        2: ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
        3: ((0, -5.5), (5.2, 4), (-5.2, 4)),
        4: ((0, 5.5), (5.2, -4), (-5.2, -4)),
    }[shape]
    corners = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in offsets)
    return f'<polygon points="{corners}">{inside}</polygon>'


def _colour(index: int) -> str:
    return f"var(--curve-{1 + (index - 1) % (CURVE_COLOURS - 1) if index else 0})"


def _axes(
    frame: _Frame, x_ticks: list[float], y_ticks: list[float], x_label: str, y_label: str
) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    lines, labels = [], []
    for tick in x_ticks:
        x = frame.x(tick)
        lines.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        labels.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{tick:g}</text>')
    for tick in y_ticks:
        y = frame.y(tick)
        lines.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        text = f"{tick:.6g}".replace("-", "−")
        labels.append(f'<text x="{_LEFT - 9}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    names = (
        f'<text x="{middle_x:g}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"{escape(x_label)} (logarithmic)</text>"
        f'<text x="16" y="{middle_y:g}" text-anchor="middle" '
        f'transform="rotate(-90 16 {middle_y:g})">{escape(y_label)}</text>'
    )
    return (
        f'<g stroke="var(--grid)">{"".join(lines)}</g>'
        f'<g fill="var(--muted)" class="ticks">{"".join(labels)}</g>'
        f'<g fill="var(--ink)">{names}</g>'
    )


def _curve(frame: _Frame, index: int, series: Series) -> str:
    places = [(frame.x(p.bpp), frame.y(p.value), p.title) for p in series.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    marks = "".join(mark(index, x, y, title) for x, y, title in places)
    return (
        f'<g stroke="{_colour(index)}" stroke-linejoin="round">'
        f'<polyline points="{line}" fill="none" stroke-width="{3 if index == 0 else 1.75}"'
        f"{series.stroke}/>"
        f'<g class="marks" fill="{_colour(index)}" stroke="var(--paper)">{marks}</g></g>'
    )


def _legend(series: Sequence[Series]) -> str:
    """Names at the upper left, where good pictures at tiny rates would be: nobody is there."""
    rows = (
        _legend_row(index, one, _LEFT + 22, _TOP + _ROW + _ROW * index)
        for index, one in enumerate(series)
    )
    height = _ROW * len(series) + 12
    return (
        f'<rect x="{_LEFT + 4}" y="{_TOP + 5}" width="92" height="{height}" rx="6" '
        f'fill="var(--paper)" fill-opacity="0.9"/>{"".join(rows)}'
    )


def _legend_below(series: Sequence[Series]) -> str:
    """Names in two columns under the plot, smaller: those of published codecs are long."""
    half = WIDTH // 2
    rows = "".join(
        _legend_row(index, one, 22 + half * (index % 2), HEIGHT + 12 + _ROW * (index // 2))
        for index, one in enumerate(series)
    )
    return f'<g font-size="13">{rows}</g>'


def _legend_row(index: int, series: Series, x: int, y: int) -> str:
    return (
        f'<line x1="{x - 11}" y1="{y}" x2="{x + 11}" y2="{y}" stroke="{_colour(index)}" '
        f'stroke-width="{3 if index == 0 else 1.75}"{series.stroke}/>'
        f'<g fill="{_colour(index)}">{mark(index, x, y)}</g>'
        f'<text x="{x + 20}" y="{y + 5}" fill="var(--ink)">{escape(series.name)}</text>'
    )
