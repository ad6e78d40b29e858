"""Figures of a latency measurement, each lane beside the floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from services.bench.latency.lanes import FLOOR
from services.bench.latency.rounds import STAGES, Round
from services.percentiles import PERCENTILES, percentiles


def summarise(rounds: Sequence[Round]) -> dict[str, dict[str, Any]]:
    """Per lane: percentiles over all rounds, and the median over rounds of its ratio to the floor's same round.

    A ratio within a round compares what ran within seconds of each other; the machine's drift drops out.
    """
    by_lane: dict[str, list[Round]] = {}
    for one in rounds:
        by_lane.setdefault(one.lane, []).append(one)
    floor = by_lane.get(FLOOR)
    return {lane: _lane(its, floor) for lane, its in by_lane.items()}


def _lane(rounds: Sequence[Round], floor: Sequence[Round] | None) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "samples": sum(len(one.latency_us) for one in rounds),
        "missing": sum(one.n_missing for one in rounds),
        "latency_us": percentiles(np.concatenate([one.latency_us for one in rounds])),
        "rounds": [percentiles(one.latency_us) for one in rounds],
        "cpu_us_per_bin": round(float(np.median([one.cpu_us for one in rounds])), 1),
        "resident_mb": round(max(one.resident_mb for one in rounds), 1),
    }
    if floor is not None:
        figures["ratio_to_floor"] = {
            name: round(
                float(
                    np.median(
                        [
                            np.percentile(ours.latency_us, at) / np.percentile(theirs.latency_us, at)
                            for ours, theirs in zip(rounds, floor, strict=True)
                        ]
                    )
                ),
                3,
            )
            for name, at in PERCENTILES.items()
        }
    if all(one.stages_us for one in rounds):
        figures["stages_us"] = {
            stage: percentiles(np.concatenate([one.stages_us[stage] for one in rounds])) for stage in STAGES
        }
    return figures
