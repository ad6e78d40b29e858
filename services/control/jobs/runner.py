"""Runs jobs, one of each kind at a time, and keeps the store true to them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from pydantic import TypeAdapter
from sqlalchemy.exc import DatabaseError

from bmi_decoder.errors import BmiError
from bmi_decoder.events import JobEvent
from bmi_decoder.jobs import JobInfo, JobRequest, JobState
from services.control.clock import now
from services.control.events.log import EventLog
from services.control.jobs.kind import JobKind
from services.control.jobs.process import StageFailedError, end_leftovers, run_stage
from services.control.rest.problem import Problem
from services.control.storage.job_store import JobStore
from services.control.storage.places import DataDirectory
from services.control.storage.tables import JobRow

_INTERRUPTED = "interrupted: the control plane ended while it ran"
_TELL_S = 0.25
_FAULT_PAUSE_S = 5.0
_FINISHED = "finished"
"""Is in a job's folder when all its processes have done their work."""

_CHECKS = anyio.CapacityLimiter(4)
"""Threads that look for live streams, for seconds. They are not those of other requests, which would wait for them."""

_REQUEST: TypeAdapter[JobRequest] = TypeAdapter(JobRequest)
_log = logging.getLogger(__name__)


@dataclass
class _Running:
    """A job that runs: its progress is not in the store.

    Attributes
    ----------
    keeping : bool
        Whether its processes have ended, and what they made is being stored; it is not stopped any more.
    interrupted : bool
        Whether it was stopped because the control plane ends.
    ended : asyncio.Event
    """

    task: asyncio.Task[dict[str, Any]]
    progress: float = 0.0
    message: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    told_at: float = 0.0
    keeping: bool = False
    interrupted: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Have its processes ended, unless they have ended by themselves."""
        if not self.keeping:
            self.task.cancel()


class JobRunner:
    """Queues, runs and cancels jobs. All methods run in one event loop.

    Parameters
    ----------
    kinds : mapping of str to JobKind
        By the `kind` of their requests.
    places : DataDirectory
    store : JobStore
    events : EventLog
        Is told of every change.
    """

    def __init__(
        self, kinds: Mapping[str, JobKind[Any]], places: DataDirectory, store: JobStore, events: EventLog
    ) -> None:
        self._kinds, self._places, self._store, self._events = kinds, places, store, events
        self._running: dict[str, _Running] = {}
        self._starting = asyncio.Lock()
        self._queued = {kind: asyncio.Event() for kind in kinds}
        self._serving: list[asyncio.Task[None]] = []
        self._closing = False

    async def open(self) -> None:
        """End what an earlier control plane has left running, keep what was finished, and go on with what is queued."""
        for row in await asyncio.to_thread(self._store.in_state, "running"):
            folder = self._places.jobs / row.id
            await asyncio.to_thread(end_leftovers, folder)
            if row.result is not None:
                await self._end(row, "done", progress=1.0)
            elif (folder / _FINISHED).exists():
                running = self._running[row.id] = _Running(asyncio.create_task(self._keep(row, folder)), keeping=True)
                await asyncio.wait([running.task])
                await self._conclude(row, running)
            else:
                await self._end(row, "failed", error=_INTERRUPTED)
        for kind, queued in self._queued.items():
            queued.set()
            self._serving.append(asyncio.create_task(self._serve(kind), name=f"jobs: {kind}"))

    async def close(self) -> None:
        """End the jobs that run; those that are queued run when the next control plane starts."""
        self._closing = True
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def submit(self, request: JobRequest) -> JobInfo:
        """Queue a job.

        Raises
        ------
        Problem
            If it cannot succeed.
        """
        await anyio.to_thread.run_sync(self._kinds[request.kind].check, request, limiter=_CHECKS)
        row = JobRow(
            id=secrets.token_hex(8),
            kind=request.kind,
            state="queued",
            progress=0.0,
            message="",
            request=request.model_dump(mode="json"),
            created_at=now(),
        )
        await asyncio.to_thread(self._store.add, row)
        self._tell(row)
        self._queued[request.kind].set()
        return self.info(row)

    async def cancel(self, job_id: str) -> JobRow | None:
        """Cancel a job that is queued or runs, and wait until nothing is left of it; None if it has ended otherwise."""
        ended = {"state": "cancelled", "ended_at": now()}
        async with self._starting:
            row = await asyncio.to_thread(lambda: self._store.change(job_id, ("queued",), **ended))
            running = self._running.get(job_id)
        if row is not None:
            self._tell(row)
        elif running is not None:
            running.stop()
            await running.ended.wait()
        row = await asyncio.to_thread(self._store.job, job_id)
        return row if row is not None and row.state == "cancelled" else None

    def info(self, row: JobRow) -> JobInfo:
        """What is known of a job now."""
        live = self._running.get(row.id)
        values = {name: getattr(row, name) for name in JobInfo.model_fields.keys() - {"details"}}
        if live is not None and row.state == "running":
            values |= {"progress": live.progress, "message": live.message, "details": live.details}
        return JobInfo(**values)

    async def _serve(self, kind: str) -> None:
        while True:
            await self._queued[kind].wait()
            self._queued[kind].clear()
            try:
                for row in await asyncio.to_thread(self._store.in_state, "queued"):
                    if row.kind == kind:
                        await self._run(row)
            except Exception:
                _log.exception("jobs of kind %s cannot be run, trying again", kind)
                self._queued[kind].set()
                await asyncio.sleep(_FAULT_PAUSE_S)

    async def _run(self, queued: JobRow) -> None:
        started = {"state": "running", "started_at": now()}
        async with self._starting:
            row = await asyncio.to_thread(lambda: self._store.change(queued.id, ("queued",), **started))
            if row is None:
                return
            running = _Running(asyncio.create_task(self._work(row), name=f"job {row.id}"))
            self._running[row.id] = running
        self._tell(row)
        try:
            await asyncio.wait([running.task])
        except asyncio.CancelledError:
            running.interrupted = True
            running.stop()
            await asyncio.wait([running.task])
            raise
        finally:
            await self._conclude(row, running)

    async def _conclude(self, row: JobRow, running: _Running) -> None:
        reached = {"progress": running.progress, "message": running.message}
        if running.task.cancelled():
            if running.interrupted:
                await self._end(row, "failed", error=_INTERRUPTED, **reached)
            else:
                await self._end(row, "cancelled", **reached)
        elif (error := running.task.exception()) is None:
            # What is kept is on record before the folder goes, from which it could be kept again.
            result = running.task.result()
            await self._change_running(row, result=result)
            await self._end(row, "done", progress=1.0, message=running.message)
        else:
            expected = isinstance(error, StageFailedError | Problem | BmiError | OSError)
            _log.warning(
                "job %s failed: %s", row.id, error, exc_info=None if expected else error, extra={"job": row.id}
            )
            await self._end(row, "failed", error=str(error), **reached)

    async def _work(self, row: JobRow) -> dict[str, Any]:
        folder = self._places.jobs / row.id
        await asyncio.to_thread(folder.mkdir)
        done = 0.0
        for stage in await anyio.to_thread.run_sync(
            self._kinds[row.kind].stages, _request(row), folder, limiter=_CHECKS
        ):
            await run_stage(stage, folder, partial(self._report, row, done, stage.share))
            done += stage.share
        self._running[row.id].keeping = True
        await asyncio.to_thread((folder / _FINISHED).touch)
        return await self._keep(row, folder)

    async def _keep(self, row: JobRow, folder: Path) -> dict[str, Any]:
        return await self._kinds[row.kind].finish(_request(row), folder)

    async def _end(self, row: JobRow, state: JobState, **values: Any) -> None:
        await asyncio.to_thread(shutil.rmtree, self._places.jobs / row.id, ignore_errors=True)
        changed = await self._change_running(row, state=state, ended_at=now(), **values)
        running = self._running.pop(row.id, None)
        if running is not None:
            running.ended.set()
        if changed is not None:
            self._tell(changed)

    async def _change_running(self, row: JobRow, **values: Any) -> JobRow | None:
        """Change a job that runs, as soon as the database takes it; one try while the control plane ends."""
        while True:
            try:
                return await asyncio.to_thread(lambda: self._store.change(row.id, ("running",), **values))
            except DatabaseError:
                if self._closing:
                    raise
                _log.exception("the end of job %s cannot be stored, trying again", row.id, extra={"job": row.id})
            await asyncio.sleep(_FAULT_PAUSE_S)

    def _report(
        self, row: JobRow, begun: float, share: float, part: float, message: str, details: dict[str, Any]
    ) -> None:
        running = self._running[row.id]
        running.progress, running.message, running.details = begun + share * part, message, details
        if time.monotonic() - running.told_at >= _TELL_S:
            running.told_at = time.monotonic()
            self._tell(row)

    def _tell(self, row: JobRow) -> None:
        info = self.info(row)
        told = info.model_dump(include={"kind", "state", "progress", "message", "details"})
        self._events.publish(JobEvent(job=info.id, **told))


def _request(row: JobRow) -> JobRequest:
    return _REQUEST.validate_python(row.request)
