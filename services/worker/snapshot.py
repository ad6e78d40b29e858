"""The state of a running decoder, taken between two bins and put back into another worker."""

from __future__ import annotations

import base64
import threading
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bmi_decoder.config import SnapshotSettings
from bmi_decoder.errors import InputError
from services.worker.lane import Lane


class LaneState(Protocol):
    """Who publishes a lane."""

    lane: Lane
    sequence: int
    pending: int


class SnapshotRequest:
    """Asks the hot thread for a copy of the state; it copies, and everything else is done by whoever asked."""

    def __init__(self) -> None:
        self._taken = threading.Event()
        self.revision = self.sequence = self.since_reset = self.pending = 0
        self._state = np.empty(0, np.float32)

    def take(self, holder: LaneState) -> None:
        """Copy; called between two bins."""
        lane = holder.lane
        self._state = lane.pipeline.engine.state()
        self.revision, self.since_reset = lane.revision, lane.since_reset
        self.sequence, self.pending = holder.sequence, holder.pending
        self._taken.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the copy; False if there is none yet."""
        return self._taken.wait(timeout_s)

    @property
    def encoded(self) -> str:
        """The state in base64."""
        return base64.b64encode(self._state.astype("<f4").tobytes()).decode()


def resume(holder: LaneState, snapshot: SnapshotSettings) -> None:
    """Go on from a state, before the first bin.

    Raises
    ------
    InputError
        If the state is not one of this pipeline.
    """
    holder.lane.pipeline.engine.load_state(_decoded(snapshot.state))
    holder.lane.since_reset, holder.pending = snapshot.since_reset, snapshot.pending


def _decoded(text: str) -> npt.NDArray[np.float32]:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except ValueError as error:
        raise InputError(f"the state to go on from cannot be read: {error}") from None
