"""The arithmetic around a latency measurement; the measurement itself is a system test."""

from __future__ import annotations

import numpy as np
import pytest

from bmi_decoder.errors import InputError
from services.bench.arguments import load
from services.bench.latency.lanes import FLOOR, peer_lane
from services.bench.latency.report import latency_page
from services.bench.latency.rounds import STAGES, Round
from services.bench.latency.summary import summarise


def turn(lane: str, latency_us: list[float], stages: bool = False) -> Round:
    values = np.array(latency_us)
    parts = {stage: values / 4 for stage in STAGES} if stages else {}
    return Round(lane, values, 0, 100.0, 50.0, parts)


def test_the_ratio_is_taken_within_a_round() -> None:
    """The machine was ten times slower in the second round; the ratio does not see it."""
    rounds = [turn(FLOOR, [100.0] * 9), turn("lstm", [90.0] * 9), turn(FLOOR, [1000.0] * 9), turn("lstm", [900.0] * 9)]
    summary = summarise(rounds)
    assert summary["lstm"]["ratio_to_floor"]["p50"] == 0.9
    assert summary["lstm"]["latency_us"]["max"] == 900.0
    assert summary[FLOOR]["ratio_to_floor"]["p99"] == 1.0


def test_stages_are_given_where_a_lane_has_them() -> None:
    summary = summarise([turn(FLOOR, [100.0] * 9), turn("lstm", [200.0] * 9, stages=True)])
    assert "stages_us" not in summary[FLOOR]
    assert summary["lstm"]["stages_us"]["decode"]["p50"] == 50.0


@pytest.mark.parametrize("text", ["250", "x96", "0x96", "250x0", "250x9.5", "nanx96"])
def test_a_load_that_is_none(text: str) -> None:
    with pytest.raises(InputError, match="250x96"):
        load("--loads", text)


def test_a_peer_needs_both_places() -> None:
    lane = peer_lane("mine=python mine.py {stream} {endpoint}", "S")
    assert lane.arguments == ("python", "mine.py", "S", lane.endpoint)
    with pytest.raises(InputError, match="NAME=COMMAND"):
        peer_lane("mine=python mine.py {stream}", "S")


def test_the_page_holds_every_lane() -> None:
    rounds = [turn(FLOOR, [100.0, 200.0]), turn("lstm", [150.0, 300.0], stages=True)]
    result = {"n_channels": 96, "rate_hz": 250.0, "lanes": summarise(rounds)}
    html = latency_page([result], [rounds], "a machine")
    assert html.count("<svg viewBox") >= 1
    assert "96 channels at 250 bins/s" in html
    assert "56.2 / " in html
