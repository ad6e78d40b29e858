"""Numbers as people read them."""

from __future__ import annotations

import math

VARIANT_NAMES = {"raw": "raw", "low_latency": "low latency", "high_accuracy": "high accuracy"}


def score(value: float | None, digits: int = 3) -> str:
    """A correlation or R2.

    Examples
    --------
    >>> score(0.91234), score(None)
    ('0.912', '–')
    """
    return _number(value, f".{digits}f")


def spread(mean: float | None, deviation: float | None, digits: int = 3) -> str:
    """Mean and standard deviation.

    Examples
    --------
    >>> spread(0.9, 0.0123)
    '0.900 ± 0.012'
    """
    if deviation is None or not math.isfinite(deviation):
        return score(mean, digits)
    return f"{score(mean, digits)} ± {deviation:.{digits}f}"


def count(value: float | None) -> str:
    """A number of operations.

    Examples
    --------
    >>> count(22688.0), count(413.7), count(None)
    ('22,688', '414', '–')
    """
    return _number(value, ",.0f")


def size(n_bytes: float | None) -> str:
    """A size in memory.

    Examples
    --------
    >>> size(67592), size(512)
    ('67.6 kB', '512 B')
    """
    if n_bytes is None:
        return "–"
    for limit, unit in ((1e6, "MB"), (1e3, "kB")):
        if n_bytes >= limit:
            return f"{n_bytes / limit:.1f} {unit}"
    return f"{n_bytes:.0f} B"


def milliseconds(seconds: float | None) -> str:
    """A time in milliseconds.

    Examples
    --------
    >>> milliseconds(0.064)
    '64 ms'
    """
    return "–" if seconds is None else f"{seconds * 1e3:.3g} ms".replace("-", "\N{MINUS SIGN}")


def _number(value: float | None, form: str) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return format(value, form).replace("-", "\N{MINUS SIGN}")
