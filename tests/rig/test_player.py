from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pylsl
import pytest

from bmi_decoder.recording import Output
from services.rig.player import Player
from services.rig.source import Block
from services.rowlog import RowLogReader, RowLogWriter

N_BINS, BIN_S = 40, 0.05


class Ramp:
    """Bins whose values are their numbers."""

    name = "ramp"
    bin_s = BIN_S
    labels: tuple[str, ...] = ("a",)
    outputs: tuple[Output, ...] = (Output("x", "m"),)

    def blocks(self) -> Iterator[Block]:
        for start in range(0, N_BINS, 16):
            k = np.arange(start, min(start + 16, N_BINS), dtype=np.float64)
            yield (k + 1) * BIN_S, k.astype(np.float32)[:, None], -k[:, None]


class Outlet:
    """Notes what is pushed, and when."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.stamps: list[float] = []
        self.moments: list[float] = []
        self.consumers = iter([False, False, True])
        self.on_push: Callable[[], None] = lambda: None

    def push_chunk(self, chunk: npt.NDArray[Any], stamp: float) -> None:
        self.moments.append(pylsl.local_clock())
        self.values.append(float(chunk[0, 0]))
        self.stamps.append(stamp)
        self.on_push()

    def wait_for_consumers(self, timeout_s: float) -> bool:
        return next(self.consumers)


@pytest.fixture
def outlets() -> tuple[Outlet, Outlet]:
    return Outlet(), Outlet()


def player(outlets: tuple[Outlet, Outlet], speed: float = 20.0, log: RowLogWriter | None = None) -> Player:
    return Player(Ramp(), cast(Any, outlets), speed, log)


def test_bins_are_pushed_on_their_grid_and_never_early(outlets: tuple[Outlet, Outlet]) -> None:
    neural, kinematics = outlets
    playing = player(outlets)
    before = pylsl.local_clock()
    playing.play()
    assert playing.pushed == N_BINS
    assert neural.values == list(range(N_BINS))
    assert kinematics.values == [-k for k in range(N_BINS)]
    assert kinematics.stamps == neural.stamps
    np.testing.assert_allclose(np.diff(neural.stamps), BIN_S / 20, rtol=1e-6)
    assert neural.stamps[0] >= before + BIN_S / 20
    assert all(moment >= stamp - 1e-4 for moment, stamp in zip(neural.moments, neural.stamps, strict=True))


def test_what_takes_time_before_the_first_bin_is_done_before_the_clock_runs() -> None:
    """Or the rig begins late, catches up in a burst, and a receiver's buffer overflows."""
    first_made = []

    class Slow(Ramp):
        def blocks(self) -> Iterator[Block]:
            first_made.append(True)
            yield from super().blocks()

    Player(Slow(), cast(Any, (Outlet(), Outlet())), 20.0)
    assert first_made


def test_pushes_are_logged(outlets: tuple[Outlet, Outlet], tmp_path: Path) -> None:
    player(outlets, log=RowLogWriter(tmp_path / "pushes", 2)).play()
    rows = RowLogReader(tmp_path / "pushes").new_rows()
    np.testing.assert_array_equal(rows[:, 0], outlets[0].stamps)
    assert np.all(rows[:, 1] <= outlets[0].moments)


def test_it_stops_at_the_next_bin(outlets: tuple[Outlet, Outlet]) -> None:
    playing = player(outlets)

    def stop_at_ten() -> None:
        playing.stop = len(outlets[0].values) == 10

    outlets[0].on_push = stop_at_ten
    playing.play()
    playing.linger()
    assert playing.pushed == 10


def test_it_waits_for_a_consumer(outlets: tuple[Outlet, Outlet]) -> None:
    assert player(outlets).wait_for_consumer()


def test_waiting_can_be_stopped(outlets: tuple[Outlet, Outlet]) -> None:
    playing = player(outlets)
    playing.stop = True
    assert not playing.wait_for_consumer()
