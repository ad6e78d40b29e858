"""Figures as people read them."""

from __future__ import annotations

import time

from services.control.storage.tables import RecordingRow

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def duration(seconds: float) -> str:
    """A duration in its largest unit.

    Examples
    --------
    >>> duration(3), duration(125), duration(7300)
    ('3 s', '2 min', '2.0 h')
    """
    for size, name in _UNITS:
        if seconds >= size:
            value = seconds / size
            return f"{value:.0f} {name}" if name == "min" or value >= 10 else f"{value:.1f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def clock(wall_s: float) -> str:
    """Time of day, here."""
    return time.strftime("%H:%M:%S", time.localtime(wall_s))


def milliseconds(us: float) -> str:
    """A latency.

    Examples
    --------
    >>> milliseconds(237.4), milliseconds(12345.0)
    ('0.24 ms', '12.3 ms')
    """
    ms = us / 1e3
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms"


def bytes_size(n: float) -> str:
    """A size of a file.

    Examples
    --------
    >>> bytes_size(812), bytes_size(1_250_000)
    ('812 B', '1.2 MB')
    """
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"


def recording_words(row: RecordingRow) -> str:
    """A recording in a few words."""
    return f"{row.file_name} · {row.id[:8]}"
