"""The arithmetic around a measurement of several sessions; the measurement itself is a system test."""

from __future__ import annotations

import numpy as np

from services.bench.sessions.command import summarise
from services.bench.sessions.load import Load, Period


def test_periods_and_sessions_are_told_apart() -> None:
    """The second session is slow, and everything is in the second period."""
    at_s = np.linspace(0, 9.99, 1000)
    received = np.concatenate(
        [np.column_stack((np.full(1000, i), at_s, np.full(1000, 100.0 * (1 + i)) + 50 * (at_s > 5))) for i in (0, 1)]
    )
    memory = np.array([100.0, 120.0])
    periods = [
        Period(5.0, memory, memory, memory, np.array([0.1, 0.3])),
        Period(10.0, memory + 1, memory, memory, memory),
    ]
    figures = summarise(Load(received, 3, periods), 2)
    assert (figures["samples"], figures["missing"]) == (2000, 3)
    assert figures["latency_us"]["max"] == figures["worst_session_p99_us"] == 250.0
    first, second = figures["periods"]
    assert (first["latency_us"]["max"], second["latency_us"]["max"]) == (200.0, 250.0)
    assert (first["cpu_share"], first["resident_mb"], second["resident_mb"]) == (0.2, 110.0, 111.0)
