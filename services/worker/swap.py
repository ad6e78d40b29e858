"""The hot thread's side of a hot swap: a lane that runs in shadow, before the switch and after it.

Everything here happens between two bins, behind the message of the bin that has just been decoded. The one
exception is `Probation.fall_back`, which stands in for an output that must not be published.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from services.worker.lane import Lane

NOT_FINITE = "its output was not finite"


class SwapRequest:
    """What another thread asks of the hot thread; decided once, by whichever of the two comes first.

    Parameters
    ----------
    revision : int
        What is to be published.
    lane : Lane or None
        The lane to warm up and switch to; None to go back to the lane that is on probation's other side.
    settle_bins : int
        Bins in shadow before the switch, at least; the filters' warm-up may ask for more.
    probation_bins : int
        Bins behind the switch during which the former lane is kept warm.

    Attributes
    ----------
    failure : str
        Why it was not done; empty if it was.
    """

    def __init__(self, revision: int, lane: Lane | None, settle_bins: int = 0, probation_bins: int = 0) -> None:
        self.revision, self.lane, self.probation_bins = revision, lane, probation_bins
        self.needed_bins = 0 if lane is None else max(lane.longest_warm_up, settle_bins, 1)
        self.failure = ""
        self._claim = threading.Lock()
        self._decided = threading.Event()

    @property
    def claimed(self) -> bool:
        """Whether somebody decides or has decided."""
        return self._claim.locked()

    def decide(self, failure: str = "", act: Callable[[], None] | None = None) -> bool:
        """Decide, unless the other thread has; `act` is done in between. Never waits."""
        if not self._claim.acquire(blocking=False):
            return False
        if act is not None:
            act()
        self.failure = failure
        self._decided.set()
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait for the decision; False if there is none yet."""
        return self._decided.wait(timeout_s)


class LaneHolder(Protocol):
    """Who publishes a lane."""

    lane: Lane
    shadow: Candidate | Probation | None
    last_failure: tuple[int, str] | None

    def switch(self, lane: Lane) -> None:
        """Publish this lane from the next bin on."""

    def event(self, event: str, **details: Any) -> None:
        """Publish a health event."""


class Candidate:
    """A new lane that decodes every bin unseen until it is warm."""

    def __init__(self, holder: LaneHolder, request: SwapRequest, lane: Lane) -> None:
        self._holder, self._request, self.lane = holder, request, lane

    def fall_back(self, x: npt.NDArray[np.float32]) -> Lane | None:
        """Nothing to fall back to: this lane is not warm."""
        return None

    def follow(self, x: npt.NDArray[np.float32]) -> None:
        """Decode the bin in shadow; switch if the lane is warm now."""
        request = self._request
        if request.claimed:
            self._fail("withdrawn: the stream did not bring enough bins in time")
        elif not self.lane.follow(x):
            request.decide(NOT_FINITE, lambda: self._fail(NOT_FINITE))
        elif self.lane.since_reset >= request.needed_bins:
            request.decide(act=self._switch)

    def _switch(self) -> None:
        holder = self._holder
        former = holder.lane
        holder.switch(self.lane)
        holder.shadow = Probation(holder, former, self._request.probation_bins)
        holder.event("swap", revision=self.lane.revision, former=former.revision, shadow_bins=self.lane.since_reset)

    def _fail(self, reason: str) -> None:
        self._holder.shadow = None
        self._holder.last_failure = self.lane.revision, reason
        self._holder.event("swap_failed", revision=self.lane.revision, reason=reason)


class Probation:
    """The former lane, kept warm behind a switch, so that a new lane that fails costs no bin."""

    def __init__(self, holder: LaneHolder, former: Lane, bins: int) -> None:
        self._holder, self.lane, self._remaining = holder, former, bins
        self._failed: Lane | None = None

    def fall_back(self, x: npt.NDArray[np.float32]) -> Lane | None:
        """Publish the former lane from this bin on; returns it with its outputs of this bin."""
        self._failed = self._holder.lane
        self.lane.run(x, self.lane.y)
        self._holder.switch(self.lane)
        return self.lane

    def follow(self, x: npt.NDArray[np.float32]) -> None:
        """Decode the bin in shadow, to the end of the probation."""
        if self._failed is not None:
            self._end(self._failed, NOT_FINITE)
            return
        self._remaining -= 1
        # A former lane that is broken itself is nothing to go back to.
        if not self.lane.follow(x) or self._remaining <= 0:
            self._holder.shadow = None

    def roll_back(self) -> None:
        """Publish the former lane from the next bin on."""
        failed = self._holder.lane
        self._holder.switch(self.lane)
        self._end(failed, "on demand")

    def _end(self, failed: Lane, reason: str) -> None:
        self._holder.shadow = None
        self._holder.last_failure = failed.revision, reason
        self._holder.event("rolled_back", revision=self.lane.revision, former=failed.revision, reason=reason)
