"""Figures of one decoder's steps."""

from __future__ import annotations

from typing import Any

from bmi_decoder.machine.touched import Touched
from services.bench.bandwidth import Bandwidth
from services.bench.decoders.measure import CADENCE, HOT, MACHINE, REHEARSED, Times
from services.bench.percentiles import median_ratio, microseconds

_COMPARED = ((HOT, HOT), (CADENCE, CADENCE), (REHEARSED, CADENCE))


def summarise(times: Times, touched: Touched | None, bandwidth: Bandwidth) -> dict[str, Any]:
    """Percentiles per runtime, how many times slower than the machine the others are, and the bound from memory.

    Without a program, and so without `touched`, there is nothing to compare with.
    """
    runtimes: dict[str, Any] = {}
    for (name, way), rounds in times.items():
        runtimes.setdefault(name, {})[f"{way}_us"] = microseconds(rounds)
    figures: dict[str, Any] = {"runtimes": runtimes}
    if touched is not None:
        figures["times_the_machine"] = {
            name: {way: round(median_ratio(times[name, theirs], times[MACHINE, way]), 3) for way, theirs in _COMPARED}
            for name in runtimes
            if name != MACHINE
        }
        bounds_us = {
            "hot": bandwidth.hot_us(touched.params),
            "l2": bandwidth.l2_us(touched.params),
            "memory": bandwidth.memory_us(touched.params),
        }
        figures["bytes_per_bin"] = {
            "parameters": round(touched.params),
            "parameters_if_dense": touched.params_dense,
            "state_and_scratch": touched.arena,
        }
        figures["bound_us"] = {name: round(bound_us, 3) for name, bound_us in bounds_us.items()}
        hot_us = runtimes[MACHINE]["hot_us"]["p50"]
        figures["times_the_bound"] = {name: round(hot_us / bounds_us[name], 2) for name in ("hot", "l2")}
    return figures
