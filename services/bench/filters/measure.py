"""Times of one filtered bin, every way in turn, and the throughput over many bins."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.evaluation.cadence import probe_counts, time_calls, walk
from services.bench.filters.lanes import LIBRARY, MACHINE, SCIPY, Lane, check_agreement, design, lanes, machine_program
from services.bench.percentiles import median_ratio, microseconds

_OFFLINE_VALUES = 1 << 21
_OFFLINE_BINS = 1 << 15
_OFFLINE_REPEATS = 5

HOT, CADENCE = "hot", "cadence"


def measure(
    n_channels: int, width: int, rate_hz: float, rounds: int, hot_steps: int, cadence_steps: int, walk_bytes: int
) -> dict[str, Any]:
    """Figures of one size.

    Parameters
    ----------
    n_channels, width : int
    rate_hz : float
    rounds : int
    hot_steps, cadence_steps : int
        Per round; filtfilt makes a tenth of the former, because it is slow.
    walk_bytes : int
        Memory that something else reads between two bins at the cadence.
    """
    counts = probe_counts(n_channels, 1 / rate_hz)
    found = lanes(n_channels, width, rate_hz)
    check_agreement(found, counts[: width + 8])
    between, names = walk(walk_bytes), list(found)
    times: dict[tuple[str, str], list[npt.NDArray[np.int64]]] = {}
    for number in range(rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            lane, n_hot = found[name], max(10, hot_steps // 10) if name == SCIPY else hot_steps
            prepare = _writer(lane, counts)
            times.setdefault((name, HOT), []).append(time_calls(lane.step, n_hot, 0.0, prepare))
            times.setdefault((name, CADENCE), []).append(
                time_calls(lane.step, cadence_steps, 1 / rate_hz, prepare, between)
            )
    return summarise(times) | {"n_channels": n_channels, "width": width, **_offline(n_channels, width, rate_hz)}


def summarise(times: dict[tuple[str, str], list[npt.NDArray[np.int64]]]) -> dict[str, Any]:
    """Percentiles per way, and how many times as long filtfilt takes."""
    figures: dict[str, Any] = {}
    for (name, way), rounds in times.items():
        figures.setdefault(name, {})[f"{way}_us"] = microseconds(rounds)
    figures["filtfilt_times"] = {
        name: {way: round(median_ratio(times[SCIPY, way], times[name, way]), 1) for way in (HOT, CADENCE)}
        for name in (MACHINE, LIBRARY)
    }
    return figures


def _writer(lane: Lane, counts: npt.NDArray[np.float32]) -> Any:
    def write(k: int) -> None:
        lane.write(counts[k % len(counts)])

    return write


def _offline(n_channels: int, width: int, rate_hz: float) -> dict[str, Any]:
    counts = probe_counts(n_channels, 1 / rate_hz)
    n_bins = min(_OFFLINE_BINS, _OFFLINE_VALUES // n_channels)
    rows = np.tile(counts, (max(1, n_bins // len(counts)), 1))
    executor, smooth = machine_program(n_channels, width, rate_hz), design(n_channels, width, rate_hz)
    wide = rows.astype(np.float64)
    x_y = (rows, np.zeros_like(rows))
    return {
        "offline_bins_per_s": {
            MACHINE: _per_second(lambda: executor.run_into(*x_y), len(rows)),
            LIBRARY: _per_second(lambda: smooth.process(wide), len(rows)),
        }
    }


def _per_second(call: Any, n_bins: int) -> float:
    call()
    took = []
    for _ in range(_OFFLINE_REPEATS):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return round(n_bins / float(np.median(took)))
