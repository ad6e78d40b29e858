"""Line and scatter charts as inline SVG, coloured by the page's style sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from bmi_decoder.evaluation.report.scale import Scale, label

MOST_POINTS = 1500
"""Points of one line; a longer one is drawn by the extremes of its stretches."""

_PLACES = [(dx, dy) for dy in (-6, 14, -18, 26, -30, 38, -42, 50) for dx in (8, -8)]
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 26, 38


class Chart:
    """Axes and what is drawn between them.

    Parameters
    ----------
    x, y : (float, float)
        Ranges of the axes.
    title : str
        Stands above the axes.
    x_label, y_label : str
    width, height : int
        Outer size in pixels; on the page the picture scales with its column.
    log_x : bool
    equal : bool
        One unit is as long on both axes: the smaller range is widened.
    rows : sequence of str, optional
        Names at y = 0, -1, -2 ... instead of numbers.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        title: str = "",
        x_label: str = "",
        y_label: str = "",
        width: int = 440,
        height: int = 240,
        log_x: bool = False,
        equal: bool = False,
        rows: Sequence[str] | None = None,
    ) -> None:
        self.width, self.height = width, height
        self._rows = rows
        start = _LEFT if rows is None else 16 + 6.5 * max(map(len, rows))
        inner = (width - start - _RIGHT, height - _TOP - _BOTTOM)
        if equal:
            x, y = _equalised(x, y, inner[0] / inner[1])
        self.x = Scale(*x, start, width - _RIGHT, log_x)
        self.y = Scale(*y, height - _BOTTOM, _TOP)
        self._title, self._labels = title, (x_label, y_label)
        self._parts: list[str] = []
        self._names: list[tuple[float, float, str]] = []

    def line(self, x: npt.ArrayLike, y: npt.ArrayLike, style: str) -> None:
        """A line; it is broken where a value is not finite."""
        xs, ys = _thinned(np.asarray(x, np.float64), np.asarray(y, np.float64))
        commands, down = [], False
        for a, b in zip(xs, ys, strict=True):
            if not np.isfinite(b):
                down = False
                continue
            commands.append(f"{'L' if down else 'M'}{self.x(a):.1f} {self.y(b):.1f}")
            down = True
        if commands:
            self._parts.append(f'<path class="line {style}" d="{"".join(commands)}"/>')

    def stems(self, x: npt.ArrayLike, y: npt.ArrayLike, style: str, shift: float = 0.0) -> None:
        """A vertical stroke from zero to each value, moved by `shift` pixels."""
        zero = self.y(0.0)
        pairs = zip(np.asarray(x, np.float64), np.asarray(y, np.float64), strict=True)
        strokes = "".join(f"M{self.x(a) + shift:.1f} {zero:.1f}V{self.y(b):.1f}" for a, b in pairs)
        self._parts.append(f'<path class="line {style}" d="{strokes}"/>')

    def point(
        self,
        x: float,
        y: float,
        style: str,
        text: str = "",
        spread: float = 0.0,
        hover: str = "",
        mark: str = "circle",
    ) -> None:
        """A mark, with a name beside it and a bar of plus and minus `spread`."""
        a, b = self.x(x), self.y(y)
        if spread:
            self._parts.append(
                f'<path class="line {style}" d="M{a:.1f} {self.y(y - spread):.1f}V{self.y(y + spread):.1f}"/>'
            )
        title = f"<title>{escape(hover)}</title>" if hover else ""
        shapes = {
            "circle": f'<circle class="mark {style}" cx="{a:.1f}" cy="{b:.1f}" r="4.5">{title}</circle>',
            "square": f'<rect class="mark {style}" x="{a - 4:.1f}" y="{b - 4:.1f}" width="8" height="8">{title}</rect>',
            "diamond": f'<path class="mark {style}" d="M{a:.1f} {b - 6:.1f}l6 6l-6 6l-6 -6z">{title}</path>',
        }
        self._parts.append(shapes[mark])
        if text:
            self._names.append((a, b, text))

    def vertical(self, x: float, text: str = "") -> None:
        """A dashed vertical line."""
        self._parts.append(f'<path class="guide" d="M{self.x(x):.1f} {self.y.start:.1f}V{self.y.stop:.1f}"/>')
        if text:
            self._parts.append(
                f'<text class="name" x="{self.x(x) + 4:.1f}" y="{self.y.stop + 11:.1f}">{escape(text)}</text>'
            )

    def horizontal(self, y: float) -> None:
        """A dashed horizontal line."""
        self._parts.append(f'<path class="guide" d="M{self.x.start:.1f} {self.y(y):.1f}H{self.x.stop:.1f}"/>')

    def svg(self, name: str = "") -> str:
        """The picture; `name` is what a screen reader says."""
        left, right, bottom, top = self.x.start, self.x.stop, self.y.start, self.y.stop
        box = f'<rect class="frame" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
        words = escape(name or self._title or self._labels[1])
        clip = f"clip{self.width}x{self.height}"  # charts of one size share it
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{words}">'
            f'<clipPath id="{clip}"><rect x="{left - 6}" y="{top - 6}" width="{right - left + 12}" '
            f'height="{bottom - top + 12}"/></clipPath>'
            f'{box}{"".join(self._axes())}<g clip-path="url(#{clip})">{"".join(self._parts)}</g>'
            f"{''.join(placed(self._names, self.width - 4))}</svg>"
        )

    def _axes(self) -> Iterable[str]:
        left, right, bottom, top = self.x.start, self.x.stop, self.y.start, self.y.stop
        for tick in self.x.ticks(6):
            a = self.x(tick)
            yield f'<path class="grid" d="M{a:.1f} {bottom}V{top}"/>'
            yield f'<text class="tick" x="{a:.1f}" y="{bottom + 14}" text-anchor="middle">{label(tick)}</text>'
        marks = [(tick, label(tick)) for tick in self.y.ticks(5)]
        if self._rows is not None:
            marks = [(-float(i), escape(name)) for i, name in enumerate(self._rows)]
        for tick, text in marks:
            b = self.y(tick)
            yield f'<path class="grid" d="M{left} {b:.1f}H{right}"/>'
            yield f'<text class="tick" x="{left - 6}" y="{b + 3.5:.1f}" text-anchor="end">{text}</text>'
        x_label, y_label = (escape(text) for text in self._labels)
        middle = (top + bottom) / 2
        yield f'<text class="title" x="{left}" y="{top - 9}">{escape(self._title)}</text>'
        yield f'<text class="axis" x="{(left + right) / 2}" y="{self.height - 6}" text-anchor="middle">{x_label}</text>'
        yield (
            f'<text class="axis" x="11" y="{middle}" text-anchor="middle" transform="rotate(-90 11 {middle})">'
            f"{y_label}</text>"
        )


def placed(names: Sequence[tuple[float, float, str]], right: float) -> Iterable[str]:
    """Names beside their marks (x, y, text), where they do not cover each other, left of `right`."""
    taken: list[tuple[float, float, float, float]] = []
    for x, y, text in sorted(names, key=lambda name: name[1]):
        width = 6.2 * len(text)
        for dx, dy in _PLACES:
            left = x + dx if dx > 0 else x + dx - width
            box = (left, y + dy - 9, left + width, y + dy + 3)
            free = all(box[2] < t[0] or t[2] < box[0] or box[3] < t[1] or t[3] < box[1] for t in taken)
            if free and box[0] > _LEFT and box[2] < right:
                break
        taken.append(box)
        yield f'<text class="name" x="{box[0]:.1f}" y="{box[3] - 3:.1f}">{escape(text)}</text>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Names of line styles, as pairs of style and name."""
    items = "".join(
        f'<span class="key"><svg viewBox="0 0 22 8" width="22" height="8" aria-hidden="true">'
        f'<path class="line {style}" d="M1 4H21"/></svg>{escape(name)}</span>'
        for style, name in entries
    )
    return f'<p class="legend">{items}</p>'


def _equalised(x: tuple[float, float], y: tuple[float, float], aspect: float) -> tuple[tuple[float, float], ...]:
    unit = max((x[1] - x[0]) / aspect, y[1] - y[0])
    ranges = []
    for (low, high), size in ((x, unit * aspect), (y, unit)):
        middle = (low + high) / 2
        ranges.append((middle - size / 2, middle + size / 2))
    return tuple(ranges)


def _thinned(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if len(x) <= MOST_POINTS or not np.isfinite(y).all():
        return x, y
    edges = np.linspace(0, len(x), MOST_POINTS // 2 + 1).astype(int)
    kept: list[int] = []
    for a, b in pairwise(edges):
        kept += sorted({a + int(np.argmin(y[a:b])), a + int(np.argmax(y[a:b]))})
    return x[kept], y[kept]
