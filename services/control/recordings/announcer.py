"""Tells the event log what the recorders of sessions do."""

from __future__ import annotations

from bmi_decoder.events import RecordingEvent
from bmi_decoder.recorder_models import RecorderStatus
from services.control.events.log import EventLog


class RecordingAnnouncer:
    """Publishes a recorder's state when it is another one than was told last, and every alarm.

    Parameters
    ----------
    events : EventLog
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._told: dict[str, tuple[object, ...]] = {}

    def take(self, session: str, status: RecorderStatus | None) -> None:
        """Compare what a session's recorder says with what was told; None is that there is none."""
        if status is None:
            self._told.pop(session, None)
            return
        seen = status.state, status.message, status.file
        if self._told.get(session) == seen:
            return
        self._told[session] = seen
        said = status.model_dump(include={"state", "message", "file", "elapsed_s", "size_bytes"})
        self._events.publish(RecordingEvent(session=session, **said))
