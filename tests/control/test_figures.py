from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as ClientHistogram

from bmi_decoder.wire import Flag
from services.control.metrics.figures import BUCKETS_S, Figures, Histogram
from services.worker.flight.layout import record_dtype


def records(first: int, latencies_s: list[float], flags: int = 0) -> np.ndarray:
    made = np.zeros(len(latencies_s), record_dtype(2))
    made["sequence"] = np.arange(first, first + len(made))
    made["t_source"] = 100 + np.arange(len(made))
    made["t_pulled"] = made["t_source"] + np.array(latencies_s) / 2
    made["t_decoded"] = made["t_publish"] = made["t_source"] + latencies_s
    made["t_sent"] = made["t_publish"] + 0.001
    made["flags"] = flags
    return made


def test_buckets_are_those_of_the_client_library() -> None:
    """Bounds included, as Prometheus has it."""
    durations = np.array([0.0, *BUCKETS_S, 0.0004, 0.07, 3.0])
    ours = Histogram()
    ours.add(durations)
    registry = CollectorRegistry()
    theirs = ClientHistogram("x", "x", buckets=BUCKETS_S, registry=registry)
    for duration in durations:
        theirs.observe(duration)
    for bound, count in ours.cumulative():
        assert registry.get_sample_value("x_bucket", {"le": bound}) == count
    assert registry.get_sample_value("x_sum") == pytest.approx(ours.total_s)


def test_every_bin_counts_once() -> None:
    figures = Figures()
    figures.add(1, records(0, [0.001] * 10), 0.004)
    figures.add(1, records(5, [0.001] * 10), 0.004)
    assert figures.latency.counts.sum() == 15
    # Another process counts its bins from 0 again.
    figures.add(2, records(0, [0.001] * 3), 0.004)
    assert figures.latency.counts.sum() == figures.stages["decode"].counts.sum() == 18
    assert figures.stages["receive"].total_s == pytest.approx(18 * 0.0005)


def test_late_bins_and_bins_that_were_filled() -> None:
    figures = Figures()
    figures.add(1, records(0, [0.003, 0.005, 0.1]), 0.004)
    figures.add(1, records(3, [9.0], int(Flag.HELD)), 0.004)
    assert figures.late == 2
    assert figures.latency.counts.sum() == 3
