"""Axes: where a value lies on the page, and where ticks stand."""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` onto `start` to `stop` in pixels, linearly or by their logarithm."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixels of a value; outside of the range they lie outside too."""
        if self.log:
            share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values in the range: of a logarithmic axis 1, 2 and 5 times powers of ten, or powers alone."""
        return _log_ticks(self.low, self.high, wanted) if self.log else linear_ticks(self.low, self.high, wanted)


def linear_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, about as many as wanted.

    Examples
    --------
    >>> linear_ticks(0.0, 10.0)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    raw = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in _STEPS if factor * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _log_ticks(low: float, high: float, wanted: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    many = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    many = [tick for tick in many if low * 0.999 <= tick <= high * 1.001]
    few = [10.0**power for power in powers if low * 0.999 <= 10.0**power <= high * 1.001]
    return few if len(many) > 2 * wanted and len(few) >= 2 else many


def padded(low: float, high: float, share: float = 0.05) -> tuple[float, float]:
    """A range with room at both ends; one that is a point gets a width."""
    if not high > low:
        room = abs(low) * 0.1 or 1.0
        return low - room, high + room
    room = (high - low) * share
    return low - room, high + room


def label(value: float) -> str:
    """A tick's text: 1500 is 1.5k, 0.05 is 0.05.

    Examples
    --------
    >>> [label(v) for v in (0.0, 0.25, 50.0, 1500.0, 2e6)]
    ['0', '0.25', '50', '1.5k', '2M']
    """
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
