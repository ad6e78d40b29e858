"""The account of a soak, on losses of known kinds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.soak_account import Account, Fault, account
from benchmarks.soak_told import WorkerLife
from bmi_decoder.wire import Flag
from services.listener import COLUMNS

BIN_S = 0.001
LATENCY_S = 0.0005


@dataclass
class Run:
    """A rig that pushes each sample when it is due, and a worker that decodes each; until a test changes it."""

    n: int = 4000
    connected: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.due = 100.0 + BIN_S * np.arange(self.n)
        self.pushed = np.column_stack([self.due, self.due])
        self.rows = np.zeros((self.n, len(COLUMNS)))
        self.rows[:, COLUMNS.index("t_receive")] = self.due + LATENCY_S
        self.rows[:, COLUMNS.index("t_source")] = self.due + 1e-5
        self.rows[:, COLUMNS.index("sequence")] = self.rows[:, COLUMNS.index("bin_index")] = np.arange(self.n)

    def column(self, name: str) -> npt.NDArray[np.float64]:
        return self.rows[:, COLUMNS.index(name)]

    def without(self, *stretches: range) -> npt.NDArray[np.float64]:
        return np.delete(self.rows, np.concatenate([np.arange(one.start, one.stop) for one in stretches]), axis=0)

    def account(self, rows: npt.NDArray[np.float64], *faults: Fault) -> Account:
        return account(self.pushed, rows, list(faults), self.connected, BIN_S)


@pytest.fixture
def run() -> Run:
    return Run()


def fault(began: float, over: float) -> Fault:
    return Fault("something", began, over, 1.0)


def test_nothing_is_missing(run: Run) -> None:
    found = run.account(run.rows, fault(101, 102))
    assert not found.missing.any() and found.doubled == 0
    assert (found.told.untold, found.told.lives) == (0, (WorkerLife(0, 0),))
    assert found.latency_s == pytest.approx(LATENCY_S)


def test_what_was_due_in_a_fault_and_pushed_behind_it_is_explained(run: Run) -> None:
    """A rig is stopped for 1.65 s; 600 of the samples that it then pushes at once find no place in the inlet."""
    stopped, lost = range(1000, 2650), range(1000, 1600)
    over = run.due[stopped.stop]
    # Some of them long after decoding has come back.
    run.pushed[stopped.start : stopped.stop, 1] = over + np.linspace(0.002, 0.6, len(stopped))
    run.column("t_receive")[stopped.start : stopped.stop] = run.pushed[stopped.start : stopped.stop, 1] + LATENCY_S
    run.column("flags")[lost.start : lost.stop] = Flag.HELD
    found = run.account(run.rows, fault(run.due[stopped.start], over))
    assert found.missing.sum() == len(lost) and not found.unexplained.any()
    assert found.told.lives == (WorkerLife(len(lost), 0),) and found.told.untold == 0
    assert found.told.lives[0].agrees(600) and not found.told.lives[0].agrees(599)


def test_what_was_due_behind_a_fault_or_before_it_is_not(run: Run) -> None:
    """A stamp must lie in the fault itself; only a push may be a little earlier, or while decoding comes back."""
    run.column("flags")[[700, 2300]] = Flag.HELD
    found = run.account(run.rows, fault(run.due[1000], run.due[2000]))
    assert found.pushed[found.unexplained, 0] == pytest.approx(run.due[[700, 2300]])
    run.column("flags")[800] = Flag.HELD
    assert run.account(run.rows, fault(run.due[1000], run.due[2000])).unexplained.sum() == 2


def test_a_sample_of_which_nothing_tells(run: Run) -> None:
    rows = run.without(range(500, 503))
    rows[500:, COLUMNS.index("sequence")] -= 3
    told = run.account(rows).told
    assert (told.untold, told.lives) == (0, (WorkerLife(3, 0),))
    rows[500:, COLUMNS.index("bin_index")] -= 3
    told = run.account(rows).told
    assert (told.untold, told.lives) == (3, (WorkerLife(0, 0),))


def test_what_was_sent_before_a_worker_had_connected_is_not_its_loss(run: Run) -> None:
    rows = run.without(range(500, 800), range(2000, 2100))
    rows[:, COLUMNS.index("sequence")] = np.arange(len(rows))
    assert run.account(rows).told.lives == (WorkerLife(400, 0),)
    run.connected = [run.due[799]]
    told = run.account(rows).told
    assert (told.untold, told.lives) == (0, (WorkerLife(100, 0),))


def test_every_worker_has_its_own(run: Run) -> None:
    """The first loses 5 bins and is killed; the second begins 1 s later, its first 2 estimates are not received."""
    run.column("flags")[100:105] = Flag.ZEROED
    run.column("flags")[3000:3007] = Flag.HELD | Flag.INVALID
    rows = run.without(range(1000, 2000))
    for name in ("sequence", "bin_index"):
        rows[1000:, COLUMNS.index(name)] -= 1998
    told = run.account(rows).told
    assert (told.untold, told.lives) == (0, (WorkerLife(5, 0), WorkerLife(7, 2)))
    assert told.lives[1].agrees(9) and not told.lives[1].agrees(10)


def test_estimates_that_were_not_received(run: Run) -> None:
    told = run.account(run.without(range(500, 510))).told
    assert (told.untold, told.lives) == (0, (WorkerLife(10, 10),))
    assert told.lives[0].agrees(0)
