"""The state of the whole service, looked up once a second for all overview pages together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from bmi_decoder.jobs import JobInfo
from bmi_decoder.rest_models import SessionStatus
from services.control.context import Control
from services.control.rest.paging import Page
from services.control.sessions.routes import list_sessions
from services.control.storage.tables import DecoderRow, RecordingRow
from services.dashboard.streams import StreamWatch, WatchedStream

_FRESH_S = 0.8
_SHOWN_JOBS, _SHOWN_RECORDINGS = 10, 20


@dataclass(frozen=True)
class Snapshot:
    """What there is; of jobs and recordings the newest, newest first."""

    streams: list[WatchedStream] = field(default_factory=list)
    sessions: list[SessionStatus] = field(default_factory=list)
    decoders: list[DecoderRow] = field(default_factory=list)
    jobs: list[JobInfo] = field(default_factory=list)
    recordings: list[RecordingRow] = field(default_factory=list)


class Overview:
    """Takes snapshots of a control plane, and gives the newest again while it is fresh.

    Parameters
    ----------
    watch : StreamWatch
    """

    def __init__(self, watch: StreamWatch) -> None:
        self._watch = watch
        self._lock = asyncio.Lock()
        self._taken_at = float("-inf")
        self._newest = Snapshot()

    async def snapshot(self, control: Control) -> Snapshot:
        """What there is now, at most a second old."""
        async with self._lock:
            if time.monotonic() - self._taken_at > _FRESH_S:
                decoders = await asyncio.to_thread(control.store.decoders)
                jobs = await asyncio.to_thread(control.job_store.page, Page(_SHOWN_JOBS))
                recordings = await asyncio.to_thread(control.recordings.newest, _SHOWN_RECORDINGS)
                self._newest = Snapshot(
                    self._watch.visible(),
                    await list_sessions(control),
                    decoders,
                    [control.jobs.info(row) for row in jobs[:_SHOWN_JOBS]],
                    recordings,
                )
                self._taken_at = time.monotonic()
            return self._newest
