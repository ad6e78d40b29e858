"""One session under supervision: its worker, what the worker says about itself, and when to try again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from services.control.sessions.worker_process import WorkerProcess, last_line
from services.control.storage.places import SessionFiles
from services.worker.flight.reader import FlightReader
from services.worker.flight.status import WorkerStatus

FIRST_DELAY_S, LONGEST_DELAY_S = 0.1, 10.0
_STEADY_S = 5.0
_POLL_S = 0.02
_LATENCY_KEPT_S = 0.5


@dataclass
class Backoff:
    """How long to wait before a worker that died is started again.

    Doubles from death to death, and is short again after a steady run.

    Examples
    --------
    >>> clock = iter([0.0, 1.0, 2.0]).__next__
    >>> backoff = Backoff(clock=clock)
    >>> backoff.started(); backoff.next_delay(), backoff.next_delay()
    (0.1, 0.2)
    """

    clock: Callable[[], float] = time.monotonic
    _delay: float = FIRST_DELAY_S
    _started: float = 0.0

    def started(self) -> None:
        """Note that a worker has just been started."""
        self._started = self.clock()

    def next_delay(self) -> float:
        """Seconds to wait after this death."""
        if self.clock() - self._started > _STEADY_S:
            self._delay = FIRST_DELAY_S
        delay = self._delay
        self._delay = min(2 * delay, LONGEST_DELAY_S)
        return delay


@dataclass(frozen=True)
class Live:
    """What a running worker says at one moment; the status is None before it has said anything."""

    pid: int
    status: WorkerStatus | None

    @property
    def final(self) -> bool:
        """Whether this is its last word."""
        return self.status is not None and self.status.state in ("stopped", "failed")


@dataclass
class Supervised:
    """What the supervisor holds about one session; used from the event loop only.

    Attributes
    ----------
    lock : asyncio.Lock
        Held while a worker is started, stopped or cleared away.
    retry_at : float or None
        Monotonic time of the next attempt after a death; None when none is due.
    revision : int
        Of the store, while a worker runs.
    swapping_to : int or None
        The revision that we have asked the worker for.
    trials_left : bool
        Whether an earlier control plane may have asked it for one.
    kept : int
        Counts changes of its row in the store.
    """

    files: SessionFiles
    worker: WorkerProcess | None = None
    backoff: Backoff = field(default_factory=Backoff)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    retry_at: float | None = None
    message: str = ""
    revision: int = 0
    swapping_to: int | None = None
    trials_left: bool = False
    kept: int = 0
    _reader: FlightReader | None = None
    _latency: tuple[float, dict[str, float] | None] | None = None

    @property
    def alive(self) -> bool:
        """Whether a worker runs."""
        return self.worker is not None and self.worker.running()

    @property
    def ending(self) -> bool:
        """Whether a worker still runs but has said its last word."""
        live = self.live()
        return live is not None and live.final

    def live(self) -> Live | None:
        """One consistent look at the worker; None where none runs."""
        worker = self.worker
        if worker is None or not worker.running():
            return None
        return Live(worker.pid, self.report())

    def report(self) -> WorkerStatus | None:
        """What the worker says in its flight recorder; None before it has made one."""
        reader = self._flight()
        return None if reader is None else reader.status()

    def latency_us(self) -> dict[str, float] | None:
        """Percentiles over the last minute, up to now; None without data."""
        reader = self._flight()
        return None if reader is None else reader.latency_us()

    async def recent_latency_us(self) -> dict[str, float] | None:
        """Percentiles over the last minute, as they were half a second ago at most; call it with the lock held.

        They are computed from all records of that minute: in a thread, and for all who ask meanwhile.
        """
        reader = self._flight()
        if reader is None:
            return None
        kept = self._latency
        # That there is no data yet is not kept: a status with bins must have their latency.
        if kept is None or kept[1] is None or time.monotonic() - kept[0] > _LATENCY_KEPT_S:
            self._latency = kept = time.monotonic(), await asyncio.to_thread(reader.latency_us)
        return kept[1]

    def records(self) -> tuple[int, npt.NDArray[np.void]] | None:
        """Process id of the worker and its records of the last minute; None where none runs."""
        reader = self._flight() if self.alive else None
        return None if reader is None else (reader.pid, reader.records())

    def published_revision(self) -> int | None:
        """The revision that the worker publishes; None where none runs, or has said so yet."""
        reader = self._flight() if self.alive else None
        return None if reader is None else reader.revision()

    def _flight(self) -> FlightReader | None:
        if self._reader is None:
            self._reader = FlightReader.opened(self.files.flight)
        return self._reader

    def close_report(self) -> None:
        """Let go of the flight recorder."""
        if self._reader is not None:
            self._reader.close()
            self._reader = self._latency = None

    async def end(self, grace_s: float) -> None:
        """Stop the worker: ask, wait, and end it if it does not listen."""
        worker = self.worker
        if worker is None:
            return
        worker.terminate()
        if not await wait_until(lambda: not worker.running(), grace_s):
            worker.kill()
            await wait_until(lambda: not worker.running(), grace_s)


async def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for `condition`; False if it did not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def final_report(session: Supervised) -> dict[str, Any]:
    """What is kept of a worker that has ended: its counters, its last words, its exit status."""
    exit_code = None if session.worker is None else session.worker.exit_code
    status = session.report()
    kept: dict[str, Any] = {"exit_code": exit_code, "state": "died", "message": ""}
    if status is not None:
        kept |= status.plain() | {"latency_us": session.latency_us()}
    if kept["state"] not in ("stopped", "failed"):
        kept["message"] = _cause_of_death(exit_code, last_line(session.files.log))
        kept["state"] = "died"
    return kept


def _cause_of_death(exit_code: int | None, last: str) -> str:
    if exit_code is None:
        how = "worker ended unexpectedly"
    elif exit_code < 0:
        how = f"worker was ended by signal {-exit_code}"
    else:
        how = f"worker ended unexpectedly with status {exit_code}"
    return f"{how}; its log ends with: {last}" if last else how


def worker_is_up(session: Supervised) -> bool:
    """Whether a worker says anything but `starting`, or has ended."""
    status = session.report() if session.alive else None
    return not session.alive or (status is not None and status.state != "starting")
