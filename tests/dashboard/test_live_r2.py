"""R² of what a session publishes, against the true movement."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.wire import Flag
from services.dashboard.live_r2 import live_r2
from services.worker.flight.layout import record_dtype

BIN_S, LAG = 0.02, 0.1
LAGS = {"raw": 0.0, "high_accuracy": LAG}


def movement(times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.column_stack([np.sin(times), np.cos(2 * times)])


def records(n: int = 500, revision: int = 1) -> npt.NDArray[np.void]:
    """Raw estimates with noise, and others that are true of `LAG` ago."""
    rng = np.random.default_rng(0)
    made = np.zeros(n, record_dtype(4))
    made["t_source"] = 100 + BIN_S * np.arange(n)
    made["revision"] = revision
    made["outputs"][:, :2] = movement(made["t_source"]) + rng.normal(0, 0.3, (n, 2))
    made["outputs"][:, 2:] = movement(made["t_source"] - LAG)
    return made


TIMES = 99.99 + BIN_S * np.arange(520)


def test_each_estimate_is_held_against_its_own_time() -> None:
    made = records()
    told = live_r2(made, LAGS, BIN_S, TIMES, movement(TIMES))
    assert told is not None
    inside = (made["t_source"] > TIMES[0]) & (made["t_source"] < TIMES[-1])
    expected = mean_r2(movement(made["t_source"][inside]), made["outputs"][inside, :2])
    assert told["r2"]["raw"] == pytest.approx(expected, abs=2e-3) and 0.7 < expected < 0.95
    assert told["r2"]["high_accuracy"] > 0.999
    assert told["seconds"] == pytest.approx(10, abs=0.2) and told["bins"] > 480


def test_what_was_not_decoded_or_by_another_decoder_does_not_count() -> None:
    made = records()
    made["revision"][:100] = 7
    for flag in (Flag.HELD, Flag.ZEROED, Flag.WARM_UP, Flag.INVALID):
        made["flags"][100 + int(flag) :: 50] = int(flag)
    wrong = (made["flags"] != 0) | (made["revision"] == 7)
    made["outputs"][wrong] = np.nan
    told = live_r2(made, LAGS, BIN_S, TIMES, movement(TIMES))
    assert told is not None and told["r2"]["high_accuracy"] > 0.999
    assert told["bins"] <= (~wrong).sum()


def test_no_line_is_drawn_across_a_gap_of_the_movement() -> None:
    made, kept = records(), (TIMES < 103) | (TIMES > 104.5)
    told = live_r2(made, LAGS, BIN_S, TIMES[kept], movement(TIMES[kept]))
    assert told is not None and told["r2"]["high_accuracy"] > 0.999
    assert 500 - 1.5 / BIN_S - 20 < told["bins"] < 500 - 1.5 / BIN_S + 5


def test_denser_movement_is_the_mean_of_a_bin() -> None:
    dense = 99.0 + 0.001 * np.arange(12_000)
    made = records()
    for k in range(500):
        inside = (dense > made["t_source"][k] - BIN_S) & (dense <= made["t_source"][k])
        made["outputs"][k, :2] = movement(dense[inside]).mean(axis=0)
    told = live_r2(made, {"raw": 0.0}, BIN_S, dense, movement(dense))
    assert told is not None and told["r2"]["raw"] > 0.9999


def test_too_little_and_nothing_that_moves() -> None:
    assert live_r2(records(200), LAGS, BIN_S, TIMES, movement(TIMES)) is None
    assert live_r2(records(0), LAGS, BIN_S, TIMES, movement(TIMES)) is None
    told = live_r2(records(), LAGS, BIN_S, TIMES, np.ones((520, 2)))
    assert told is not None and told["r2"] == {"raw": None, "high_accuracy": None}
    # A rig that was started anew may begin in the past of the former one.
    again = np.concatenate([TIMES + 50, TIMES])
    told = live_r2(records(), LAGS, BIN_S, again, movement(again))
    assert told is not None and told["r2"]["high_accuracy"] > 0.999
