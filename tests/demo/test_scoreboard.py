from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.wire import Flag, Variant
from services.demo.scoreboard import Scoreboard
from services.listener import COLUMNS

BIN_S, START = 0.004, 1000.0
VARIANTS = (Variant.raw, Variant.high_accuracy)
LOOKAHEAD = 5
LATENCY_S = 300e-6


def stamps(bins: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The ends of bins."""
    return START + BIN_S * (np.asarray(bins, float) + 1)


def movement(bins: npt.ArrayLike) -> npt.NDArray[np.float64]:
    k = np.asarray(bins, float)
    return np.column_stack([np.sin(k / 7), np.cos(k / 5)])


def pushes(n: int) -> npt.NDArray[np.float64]:
    """Each bin is pushed a little after its end."""
    return np.column_stack([stamps(np.arange(n)), stamps(np.arange(n)) + 50e-6])


def estimates(bins: npt.ArrayLike, flags: int = 0, clock_offset_s: float = 0.0) -> npt.NDArray[np.float64]:
    """Perfect estimates: raw of now, high_accuracy of `LOOKAHEAD` bins ago."""
    k = np.asarray(bins)
    then = k - LOOKAHEAD
    columns = {
        "t_receive": stamps(k) + 50e-6 + LATENCY_S,
        "sequence": k,
        "bin_index": k,
        "t_source": stamps(k) + clock_offset_s,
        "flags": np.full(k.shape, flags),
        "revision": np.ones(k.shape),
        "lost": np.zeros(k.shape),
    }
    assert tuple(columns) == COLUMNS
    return np.column_stack([*columns.values(), stamps(k), stamps(then), movement(k), movement(then)])


@pytest.fixture
def board() -> Scoreboard:
    return Scoreboard(VARIANTS, 2, BIN_S)


def filled(board: Scoreboard, *rows: npt.NDArray[np.float64], n_pushed: int = 100) -> dict[str, Any]:
    board.add_pushes(pushes(n_pushed))
    board.add_truth(stamps(np.arange(n_pushed)), movement(np.arange(n_pushed)))
    for part in rows:
        board.add_estimates(part)
    return board.summary()


def test_nothing_yet(board: Scoreboard) -> None:
    expected = {
        "bins_in": 0,
        "bins_decoded": 0,
        "bins_lost": 0,
        "bins_duplicated": 0,
        "r2": {"raw": None, "high_accuracy": None},
        "latency_us": {"p50": None, "p99": None, "p999": None},
    }
    assert board.summary() == expected
    board.add_pushes(pushes(10))
    board.add_estimates(np.empty((0, len(COLUMNS) + 6)))
    assert board.summary() == expected
    assert board.bins_decoded == 0


def test_all_is_well(board: Scoreboard) -> None:
    summary = filled(board, estimates(np.arange(40)), estimates(np.arange(40, 90)))
    assert summary["bins_in"] == 90, "the rest is still on its way"
    assert summary["bins_decoded"] == 90
    assert (summary["bins_lost"], summary["bins_duplicated"]) == (0, 0)
    assert summary["r2"] == {"raw": 1.0, "high_accuracy": 1.0}
    assert list(summary["latency_us"].values()) == pytest.approx([LATENCY_S * 1e6] * 3, abs=0.2)
    assert board.bins_decoded == 90


def test_losses(board: Scoreboard) -> None:
    summary = filled(board, estimates(np.delete(np.arange(90), [0, 17, 18])))
    assert (summary["bins_in"], summary["bins_decoded"], summary["bins_lost"]) == (90, 87, 3)


@pytest.mark.parametrize("flag", [Flag.HELD, Flag.ZEROED])
def test_a_bin_that_was_filled_is_lost(board: Scoreboard, flag: Flag) -> None:
    summary = filled(board, estimates(np.arange(50)), estimates([50], int(flag)), estimates(np.arange(51, 60)))
    assert (summary["bins_in"], summary["bins_decoded"], summary["bins_lost"]) == (60, 59, 1)


def test_duplicates(board: Scoreboard) -> None:
    summary = filled(board, estimates(np.arange(60)), estimates([58, 59]))
    assert (summary["bins_decoded"], summary["bins_lost"], summary["bins_duplicated"]) == (60, 0, 2)


def test_a_clock_offset_of_less_than_half_a_bin_changes_nothing(board: Scoreboard) -> None:
    summary = filled(board, estimates(np.arange(90), clock_offset_s=0.4 * BIN_S))
    assert (summary["bins_in"], summary["bins_lost"], summary["bins_duplicated"]) == (90, 0, 0)


def test_accuracy_leaves_the_warm_up_out(board: Scoreboard) -> None:
    wrong = estimates(np.arange(20), int(Flag.WARM_UP))
    wrong[:, -4:] = 1e3
    assert filled(board, wrong, estimates(np.arange(20, 90)))["r2"] == {"raw": 1.0, "high_accuracy": 1.0}


def test_accuracy_of_each_variant_is_its_own(board: Scoreboard) -> None:
    rows = estimates(np.arange(90))
    rows[:, -4:-2] = 0.0
    r2 = filled(board, rows)["r2"]
    assert r2["high_accuracy"] == 1.0
    assert r2["raw"] < 0.1


def test_truth_that_begins_later(board: Scoreboard) -> None:
    """The inlet of the movement connects after the worker's."""
    board.add_pushes(pushes(100))
    board.add_truth(stamps(np.arange(30, 100)), movement(np.arange(30, 100)))
    board.add_estimates(estimates(np.arange(90)))
    assert board.summary()["r2"] == {"raw": 1.0, "high_accuracy": 1.0}


def test_without_truth_there_is_no_accuracy(board: Scoreboard) -> None:
    board.add_pushes(pushes(10))
    board.add_estimates(estimates(np.arange(10)))
    assert board.summary()["r2"] == {"raw": None, "high_accuracy": None}


def test_latency_percentiles(board: Scoreboard) -> None:
    latency_s = np.random.default_rng(8).uniform(100e-6, 900e-6, 100)
    rows = estimates(np.arange(100))
    rows[:, 0] = pushes(100)[:, 1] + latency_s
    latency = filled(board, rows)["latency_us"]
    for name, percent in (("p50", 50), ("p99", 99), ("p999", 99.9)):
        assert latency[name] == pytest.approx(np.percentile(latency_s, percent) * 1e6, abs=0.2)
