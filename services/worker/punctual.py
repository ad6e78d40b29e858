"""Waits for the next sample so that the thread is awake, and its caches warm, when it comes."""

from __future__ import annotations

from collections.abc import Callable

from services.ingest.inlet import SampleInlet
from services.worker.decode import local_clock

_MARGIN_S = 150e-6
"""Between the end of a rehearsal and the sample: what the system takes to wake the thread, and some jitter."""

_LATE_S = 500e-6
"""How long a sample that is overdue is awaited without sleeping."""

_SHARE = 0.5
"""Of the time between two samples, the part that a rehearsal and its margin may take; beyond it there is none."""


class PunctualInlet:
    """Pulls from an inlet, and rehearses shortly before each sample is due.

    A sample is due one period after the one before it came. The rehearsal begins so early that it ends a margin
    before that; how long it takes is measured each time. Where the thread is woken too late for that there is none.

    Parameters
    ----------
    inlet : SampleInlet
    sample_s : float
        Time between two samples as they arrive.
    rehearse : callable or None
        Rehearses, and says whether there was anything to rehearse; None never does.
    busy_poll : bool
        From the rehearsal on, ask for the sample again and again instead of sleeping.
    """

    def __init__(
        self, inlet: SampleInlet, sample_s: float, rehearse: Callable[[], bool] | None, busy_poll: bool
    ) -> None:
        self._pull, self._sample_s = inlet.pull, sample_s
        self._rehearse, self._busy_poll = rehearse, busy_poll
        self._took = 0.0
        self._due = 0.0

    def pull(self, timeout_s: float) -> float | None:
        """As `SampleInlet.pull`; the time-out is approximate."""
        stamp = self._before(timeout_s)
        if stamp is None:
            stamp = self._pull(timeout_s)
        self._due = local_clock() + self._sample_s
        return stamp

    def _before(self, timeout_s: float) -> float | None:
        """Wait until it is time to prepare, and prepare; a sample that comes meanwhile is returned."""
        if self._rehearse is None and not self._busy_poll:
            return None
        lead = self._took + _MARGIN_S
        wait = self._due - lead - local_clock()
        if lead > _SHARE * self._sample_s or not 0 < wait < timeout_s:
            # Too fast a stream to prepare for, late already, or not begun.
            self._took *= 0.99
            return None
        stamp = self._pull(wait)
        if stamp is not None:
            return stamp
        if self._rehearse is not None:
            began = local_clock()
            # Woken so late, as happens where others want the processor, a rehearsal would only hold up the sample.
            if began + self._took < self._due and self._rehearse():
                self._took += 0.1 * (local_clock() - began - self._took)
        if self._busy_poll:
            last = self._due + _LATE_S
            while (stamp := self._pull(0.0)) is None and local_clock() < last:
                pass
        return stamp
