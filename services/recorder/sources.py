"""Everything that a recorder listens to."""

from __future__ import annotations

import threading
from pathlib import Path

from bmi_decoder.config import WorkerSettings
from services.recorder.intake import Intake
from services.recorder.log import EventTrack
from services.recorder.lsl_source import LslSource
from services.recorder.session_source import SessionSource
from services.recorder.settings import RecorderSettings
from services.recorder.snapshots import Snapshots

_SNAPSHOT_S = 10.0
_END_S = 10.0


class Sources:
    """The streams, and the session with its decoder's state, each in a thread of its own.

    Parameters
    ----------
    settings : RecorderSettings
    intake : Intake
    log : EventTrack
    """

    def __init__(self, settings: RecorderSettings, intake: Intake, log: EventTrack) -> None:
        wanted = list(settings.streams)
        self._session: SessionSource | None = None
        self._snapshots: Snapshots | None = None
        if settings.worker is not None:
            worker = Path(settings.worker)
            session = WorkerSettings.model_validate_json(worker.read_bytes()).session
            wanted.insert(0, session.stream)
            self._snapshots = Snapshots(session.name, intake, _snapshot_every(settings.pretrigger_s), log)
            self._session = SessionSource(worker, session.name, intake, self._snapshots, log)
        self.streams = [LslSource(stream, intake, log) for stream in wanted]
        self._threads = [thread for thread in (*self.streams, self._session, self._snapshots) if thread is not None]
        self._dead: list[threading.Thread] = []
        self._input_receiving = False

    def start(self) -> None:
        """Begin to listen."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Listen no more; what has come is handed over."""
        for stream in self.streams:
            stream.stop = True
        if self._session is not None and self._snapshots is not None:
            self._session.stop = True
            self._snapshots.end()
        for thread in self._threads:
            thread.join(_END_S)

    def record(self, recording: bool) -> None:
        """Note that a recording begins or has ended, for both of which the decoder's state is wanted."""
        if self._snapshots is not None:
            self._snapshots.recording = recording
            self._snapshots.soon()

    def look(self) -> bool:
        """Whether anything has died of a bug since the last look; asks for a state when the input has come."""
        dead = [thread for thread in self._threads if not thread.is_alive() and thread not in self._dead]
        self._dead += dead
        receiving = bool(self.streams) and self.streams[0].receiving
        if receiving and not self._input_receiving and self._snapshots is not None:
            # A state is of use from the first recorded sample on.
            self._snapshots.soon()
        self._input_receiving = receiving
        return bool(dead)

    @property
    def alarm(self) -> str:
        """Says which have died; empty when all live."""
        names = ", ".join(thread.name for thread in self._dead)
        return f"nothing more is recorded of {names}, by a bug; see the recorder's log" if names else ""

    @property
    def waiting_for(self) -> list[str]:
        """What has not been found, or was lost."""
        waiting = [stream.wanted.name for stream in self.streams if not stream.connected]
        return [*waiting, "the session's worker"] if self._session and not self._session.connected else waiting


def _snapshot_every(pretrigger_s: float) -> float:
    """So often that most of what came before "record" has a state in front of it."""
    return max(0.25, min(_SNAPSHOT_S, pretrigger_s / 6))
