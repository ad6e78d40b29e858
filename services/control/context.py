"""What the routes share: one control plane's settings, files, store and supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.control.database_watch import DatabaseWatch
from services.control.event_log import EventLog
from services.control.job_runner import JobRunner
from services.control.job_store import JobStore
from services.control.library import Library
from services.control.metrics import Metrics
from services.control.places import DataDirectory
from services.control.recording_library import RecordingLibrary
from services.control.session_recorder import SessionRecorders
from services.control.settings import ControlSettings
from services.control.store import Store
from services.control.supervisor import Supervisor


@dataclass(frozen=True)
class Control:
    """One running control plane."""

    settings: ControlSettings
    places: DataDirectory
    store: Store
    library: Library
    supervisor: Supervisor
    events: EventLog
    recordings: RecordingLibrary
    job_store: JobStore
    jobs: JobRunner
    metrics: Metrics
    recorders: SessionRecorders
    database: DatabaseWatch

    def holds(self, file_id: str) -> bool:
        """Whether a decoder or a recording of an id is stored."""
        return self.store.decoder(file_id) is not None or self.recordings.knows(file_id)


async def _control(request: Request) -> Control:
    control = request.app.state.control
    assert isinstance(control, Control)
    return control


ControlDep = Annotated[Control, Depends(_control)]
