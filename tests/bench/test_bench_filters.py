"""The ways to filter are the same filter, and the figures are those of one round after the other."""

from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.errors import BmiError
from services.bench.filters.lanes import LIBRARY, MACHINE, SCIPY, Lane, check_agreement, lanes
from services.bench.filters.measure import measure, summarise


@pytest.mark.parametrize("width", [16, 32])
def test_all_ways_agree(width: int) -> None:
    counts = np.random.default_rng(0).poisson(1.0, (width + 20, 3)).astype(np.float32)
    check_agreement(lanes(3, width, 250.0), counts)


def test_another_filter_is_found_out() -> None:
    found = lanes(2, 16, 250.0)
    output = found[MACHINE].output
    found[MACHINE] = Lane(found[MACHINE].write, found[MACHINE].step, lambda: output() * np.float32(1.01))
    with pytest.raises(BmiError, match="'machine' differs"):
        check_agreement(found, np.ones((20, 2), np.float32))


def test_ratios_are_of_filtfilt() -> None:
    times = {
        (name, way): [np.full(3, ns), np.full(3, 7 * ns)]
        for name, ns in ((MACHINE, 1000), (LIBRARY, 10_000), (SCIPY, 100_000))
        for way in ("hot", "cadence")
    }
    figures = summarise(times)
    assert figures["filtfilt_times"][MACHINE] == {"hot": 100.0, "cadence": 100.0}
    assert figures["filtfilt_times"][LIBRARY]["hot"] == 10.0
    assert figures[SCIPY]["hot_us"]["max"] == 700.0


def test_a_size_measured() -> None:
    figures = measure(2, 16, 1000.0, rounds=2, hot_steps=20, cadence_steps=5, walk_bytes=1024)
    assert figures["n_channels"] == 2 and figures["width"] == 16
    assert min(figures["offline_bins_per_s"].values()) > 0
