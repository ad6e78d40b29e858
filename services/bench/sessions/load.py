"""Runs several workers side by side, each on a stream of its own, and watches time and memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from bmi_decoder.bundle import Bundle
from bmi_decoder.errors import BmiError
from services.bench.latency.lanes import worker_lane
from services.bench.latency.rounds import opened_log
from services.processes import Child, running
from services.rowlog import RowLogReader

_START_S = 60.0
_QUIET_S = 1.0
_POLL_S = 0.2
_SETTLING_S = 3.0


@dataclass(frozen=True)
class Period:
    """A stretch of a run.

    Attributes
    ----------
    at_s : float
        Its end, from the first sample that counts.
    resident_mb, unique_mb, shared_mb : array (n_sessions,)
        Memory of each worker at that moment: resident; its alone; resident with what it shares divided by those who
        share it. NaN where the operating system does not tell.
    cpu_share : array (n_sessions,)
        Processor time of each worker as a share of one core since the last period.
    """

    at_s: float
    resident_mb: npt.NDArray[np.float64]
    unique_mb: npt.NDArray[np.float64]
    shared_mb: npt.NDArray[np.float64]
    cpu_share: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Load:
    """What came of a run.

    Attributes
    ----------
    received : array (n, 3)
        Per sample that came through: session, seconds from the first sample that counts to its push, latency from
        push to reception in us.
    n_missing : int
        Samples that did not come through.
    periods : list of Period
    """

    received: npt.NDArray[np.float64]
    n_missing: int
    periods: list[Period]


def run_sessions(
    n_sessions: int,
    bundle: Bundle,
    seconds: float,
    period_s: float,
    folder: Path,
    sync: bool = False,
    announce: Callable[[float], None] = lambda at_s: None,
) -> Load:
    """Run `n_sessions` workers for `seconds` at the bundle's own rate.

    The first seconds, in which workers find their streams and settle, do not count. With `sync` outlets write in the
    thread that pushes.

    Raises
    ------
    BmiError
        If a process ends, or a worker passes nothing on.
    """
    rate_hz, n_channels = 1 / bundle.manifest.bin_s, bundle.manifest.n_channels
    stream = f"bench-{os.getpid()}-{n_sessions}"
    lanes = [worker_lane(f"session{i}", f"{stream}-{i}", bundle, folder) for i in range(n_sessions)]
    with contextlib.ExitStack() as stack:

        def start(name: str, *arguments: str) -> Child:
            return stack.enter_context(running(name, arguments, folder))

        pushes, receptions = folder / "pushes", folder / "receptions"
        source = start(
            "source",
            *(
                "-m",
                "services.bench.latency.source",
                *(["--sync"] if sync else []),
                str(pushes),
                str(n_channels),
                str(rate_hz),
            ),
            *(lane.stream for lane in lanes),
        )
        source.next_line()
        workers = [start(lane.name, *lane.arguments) for lane in lanes]
        endpoints = [lane.endpoint for lane in lanes]
        receiver = start("receiver", "-m", "services.bench.latency.receiver", str(receptions), *endpoints)
        logs = _Logs(opened_log(source, pushes), opened_log(receiver, receptions))
        _warm_up(source, [*workers, receiver], logs, n_sessions, rate_hz)
        # What is still on its way would be taken for samples of the run.
        logs.drain()
        logs.clear()
        source.tell(f"all {round((seconds + _SETTLING_S) * rate_hz)}")
        periods = _watch(workers, [source, receiver], logs, seconds, period_s, announce)
        source.next_line()
        logs.drain()
    return logs.load(n_sessions, rate_hz, periods)


class _Logs:
    """What was pushed, and what was received."""

    def __init__(self, pushes: RowLogReader, receptions: RowLogReader) -> None:
        self._readers = pushes, receptions
        self.clear()

    def clear(self) -> None:
        for reader in self._readers:
            reader.new_rows()
        self._pushed: list[npt.NDArray[np.float64]] = []
        self._received: list[npt.NDArray[np.float64]] = []

    def read(self) -> None:
        """Take what is new; the logs keep only the newest."""
        pushes, receptions = self._readers
        self._pushed.append(pushes.new_rows())
        self._received.append(receptions.new_rows())

    def sessions_heard(self) -> set[int]:
        return {int(session) for rows in self._received for session in rows[:, 0]}

    def drain(self) -> None:
        """Read until nothing more comes through."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_S:
            time.sleep(_POLL_S)
            self.read()
            if len(self._received[-1]):
                quiet_since = time.monotonic()

    def load(self, n_sessions: int, rate_hz: float, periods: list[Period]) -> Load:
        pushed, received = np.concatenate(self._pushed), np.concatenate(self._received)
        begin = pushed[0, 2] + _SETTLING_S
        pieces, n_missing = [], 0
        for session in range(n_sessions):
            its_pushes, its_receptions = (rows[rows[:, 0] == session] for rows in (pushed, received))
            # Stamps arrive corrected for the clock's offset, which is far smaller than their distance.
            place = np.rint((its_receptions[:, 1] - its_pushes[0, 1]) * rate_hz).astype(int)
            known = (place >= 0) & (place < len(its_pushes))
            moments = its_pushes[place[known], 2]
            counts = moments >= begin
            latency = (its_receptions[known, 2] - moments)[counts] * 1e6
            pieces.append(np.column_stack((np.full(len(latency), session), moments[counts] - begin, latency)))
            n_missing += int(np.count_nonzero(its_pushes[:, 2] >= begin)) - len(np.unique(place[known][counts]))
        return Load(np.concatenate(pieces), n_missing, periods)


def _warm_up(source: Child, others: list[Child], logs: _Logs, n_sessions: int, rate_hz: float) -> None:
    """Push until every session has passed something on."""
    deadline = time.monotonic() + _START_S
    while len(logs.sessions_heard()) < n_sessions:
        if time.monotonic() > deadline:
            raise BmiError(
                f"{n_sessions - len(logs.sessions_heard())} of {n_sessions} sessions passed nothing on within "
                f"{_START_S:g} s"
            )
        source.tell(f"all {max(2, round(0.25 * rate_hz))}")
        source.next_line()
        logs.read()
        for child in others:
            child.check()


def _watch(
    workers: list[Child],
    others: list[Child],
    logs: _Logs,
    seconds: float,
    period_s: float,
    announce: Callable[[float], None],
) -> list[Period]:
    processes = [psutil.Process(worker.process.pid) for worker in workers]
    begin = time.monotonic() + _SETTLING_S
    _wait(begin, logs, [*workers, *others])
    spent, at_s, periods = _cpu_s(processes), 0.0, []
    while at_s < seconds:
        before, at_s = at_s, min(seconds, at_s + period_s)
        _wait(begin + at_s, logs, [*workers, *others])
        now = _cpu_s(processes)
        full = [process.memory_full_info() for process in processes]
        memory = [np.array([getattr(one, kind, np.nan) / 1e6 for one in full]) for kind in ("rss", "uss", "pss")]
        periods.append(Period(at_s, memory[0], memory[1], memory[2], (now - spent) / (at_s - before)))
        spent = now
        announce(at_s)
    return periods


def _wait(until: float, logs: _Logs, children: list[Child]) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(_POLL_S, left))
        logs.read()
        for child in children:
            child.check()


def _cpu_s(processes: list[psutil.Process]) -> npt.NDArray[np.float64]:
    times = [process.cpu_times() for process in processes]
    return np.array([one.user + one.system for one in times])
