"""Runs the lanes of a latency measurement in turn, all of them alive all the time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from bmi_decoder.errors import BmiError
from services.bench.latency.lanes import Lane
from services.processes import Child, running
from services.rowlog import RowLogReader
from services.worker.flight.reader import FlightReader

_START_S = 60.0
_DRAIN_S = 3.0
_POLL_S = 0.02
_WARM_UP_S = 2.0

STAGES = ("lsl", "decode", "pack", "zeromq")
"""Push to pulled; pulled to decoded (binning, filters, decoder); decoded to packed; packed to received."""


@dataclass(frozen=True)
class Round:
    """One lane's turn.

    Attributes
    ----------
    latency_us : array
        From push to reception, one value per sample that came through, in the order of reception.
    n_missing : int
        Samples that did not come through.
    cpu_us : float
        Processor time of the lane's process per sample, all threads.
    resident_mb : float
        Its resident memory at the end of the turn.
    stages_us : dict of array
        Per stage, for lanes with a flight recorder.
    """

    lane: str
    latency_us: npt.NDArray[np.float64]
    n_missing: int
    cpu_us: float
    resident_mb: float
    stages_us: dict[str, npt.NDArray[np.float64]]


def measure(
    n_channels: int,
    rate_hz: float,
    lanes: Sequence[Lane],
    n_rounds: int,
    seconds: float,
    folder: Path,
    announce: Callable[[int, str], None] = lambda number, lane: None,
) -> list[Round]:
    """Measure every lane `n_rounds` times for `seconds`, the order turning from round to round.

    Raises
    ------
    BmiError
        If a process ends, or a lane passes nothing on.
    """
    with contextlib.ExitStack() as stack:

        def start(name: str, arguments: Sequence[str], is_command: bool = False) -> Child:
            return stack.enter_context(running(name, arguments, folder, is_command))

        streams = [lane.stream for lane in lanes]
        pushes = folder / "pushes"
        source = start(
            "source", ["-m", "services.bench.latency.source", str(pushes), str(n_channels), str(rate_hz), *streams]
        )
        source.next_line()
        children = [start(lane.name, lane.arguments, lane.is_command) for lane in lanes]
        log = folder / "receptions"
        receiver = start(
            "receiver", ["-m", "services.bench.latency.receiver", str(log), *(lane.endpoint for lane in lanes)]
        )
        readers = opened_log(source, pushes), opened_log(receiver, log)
        run = _Run(lanes, children, source, receiver, rate_hz, *readers)
        for index in range(len(lanes)):
            run.warm_up(index)
        rounds = []
        for number in range(n_rounds):
            for place in range(len(lanes)):
                index = (place + number) % len(lanes)
                announce(number, lanes[index].name)
                rounds.append(run.turn(index, max(1, round(seconds * rate_hz))))
        return rounds


class _Run:
    def __init__(
        self,
        lanes: Sequence[Lane],
        children: Sequence[Child],
        source: Child,
        receiver: Child,
        rate_hz: float,
        pushes: RowLogReader,
        receptions: RowLogReader,
    ) -> None:
        self._lanes, self._children = lanes, children
        self._source, self._receiver, self._rate_hz = source, receiver, rate_hz
        self._pushes, self._receptions = pushes, receptions

    def warm_up(self, index: int) -> None:
        """Push until samples come through, and then a little longer."""
        deadline = time.monotonic() + _START_S
        few = max(2, round(0.25 * self._rate_hz))
        while not len(self._collect(index, few, patience_s=0.25)):
            if time.monotonic() > deadline:
                self._children[index].check()
                raise BmiError(
                    f"lane {self._lanes[index].name!r} passed nothing on within {_START_S:g} s: "
                    f"{self._children[index].last_words()}"
                )
        self._collect(index, round(_WARM_UP_S * self._rate_hz), _DRAIN_S)

    def turn(self, index: int, n_samples: int) -> Round:
        """Measure one lane."""
        lane, process = self._lanes[index], psutil.Process(self._children[index].process.pid)
        before = process.cpu_times()
        rows = self._collect(index, n_samples, _DRAIN_S)
        after = process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        return Round(
            lane.name,
            (rows[:, 2] - rows[:, 1]) * 1e6,
            n_samples - len(rows),
            spent / n_samples * 1e6,
            process.memory_info().rss / 1e6,
            {} if lane.flight is None else _stages(lane.flight, rows),
        )

    def _collect(self, index: int, n_samples: int, patience_s: float) -> npt.NDArray[np.float64]:
        """Push samples to a lane and gather what comes through, (n, 3): stamp, push, reception."""
        self._pushes.new_rows()
        self._receptions.new_rows()
        self._source.tell(f"{index} {n_samples}")
        first = float(self._source.next_line().removeprefix("pushed"))
        pushed = self._pushes.new_rows()[:, 2]
        gathered = [np.empty((0, 3))]
        deadline = time.monotonic() + patience_s
        while sum(map(len, gathered)) < n_samples and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            rows = self._receptions.new_rows()
            gathered.append(rows[rows[:, 0] == index])
        for child in (*self._children, self._receiver):
            child.check()
        received = np.concatenate(gathered)
        # Stamps arrive corrected for the clock's offset, which is far smaller than their distance.
        place = np.rint((received[:, 1] - first) * self._rate_hz).astype(int)
        known = (place >= 0) & (place < len(pushed))
        return np.column_stack((received[known, 1], pushed[place[known]], received[known, 2]))


def _stages(flight: Path, rows: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Durations of the stages of those receptions that the flight recorder still knows."""
    reader = FlightReader(flight)
    try:
        records = reader.records()
    finally:
        reader.close()
    _, here, there = np.intersect1d(records["t_source"], rows[:, 0], return_indices=True)
    known, (_, pushed, received) = records[here], rows[there].T
    moments = (pushed, known["t_pulled"], known["t_decoded"], known["t_publish"], received)
    return {name: (moments[i + 1] - moments[i]) * 1e6 for i, name in enumerate(STAGES)}


def opened_log(writer: Child, log: Path) -> RowLogReader:
    """A reader of the log that a child process is about to make.

    Raises
    ------
    BmiError
        If it ends, or takes too long.
    """
    deadline = time.monotonic() + _START_S
    while not log.exists():
        writer.check()
        if time.monotonic() > deadline:
            raise BmiError(f"the {writer.name} did not start within {_START_S:g} s")
        time.sleep(_POLL_S)
    return RowLogReader(log)
