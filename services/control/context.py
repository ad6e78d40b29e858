"""What the routes share: one control plane's settings, files, store and supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.control.decoders.library import Library
from services.control.events.log import EventLog
from services.control.jobs.runner import JobRunner
from services.control.metrics.collection import Metrics
from services.control.recordings.library import RecordingLibrary
from services.control.recordings.recorders import SessionRecorders
from services.control.sessions.supervisor import Supervisor
from services.control.settings import ControlSettings
from services.control.storage.database_watch import DatabaseWatch
from services.control.storage.job_store import JobStore
from services.control.storage.places import DataDirectory
from services.control.storage.store import Store


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
