"""Stored recordings: files on disk under the hash of their content."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bmi_decoder.formats import FORMATS
from bmi_decoder.jobs import RecordingDetail, RecordingInfo
from bmi_decoder.rest_models import OutputInfo
from services.control.clock import now
from services.control.recordings.inspection import Inspector
from services.control.rest.paging import Page
from services.control.rest.problem import Problem, bad_value, not_found
from services.control.rest.upload import Upload
from services.control.storage.disk_threads import on_disk
from services.control.storage.job_store import JobStore
from services.control.storage.places import DataDirectory
from services.control.storage.recording_store import RecordingStore
from services.control.storage.tables import RecordingRow
from services.durable import store_durably, sync

_ID_DIGITS = 16
SUFFIXES = sorted({known.suffix for known in FORMATS})
"""How the names of recordings end."""


class RecordingLibrary:
    """The recordings of one data directory.

    Parameters
    ----------
    places : DataDirectory
    store : RecordingStore
    jobs : JobStore
        Whose jobs may need a recording.
    """

    def __init__(self, places: DataDirectory, store: RecordingStore, jobs: JobStore) -> None:
        self._places, self._store, self._jobs = places, store, jobs
        self._changing = asyncio.Lock()
        self._inspector = Inspector()

    async def add(self, upload: Upload) -> RecordingRow:
        """Look into an upload and keep it.

        Raises
        ------
        Problem
            422 if it is damaged or of no known format.
        """
        suffix = Path(upload.file_name).suffix.lower()
        if suffix not in SUFFIXES:
            message = f"the name of a recording must end with one of {', '.join(SUFFIXES)}, got {upload.file_name!r}"
            raise bad_value("file", message, upload.file_name, list(SUFFIXES))
        named = upload.path.with_suffix(suffix)
        upload.path.rename(named)
        try:
            inspection = await self._inspector.inspect(named, upload.file_name)
            row = RecordingRow(
                id=upload.sha256[:_ID_DIGITS],
                sha256=upload.sha256,
                size_bytes=upload.size_bytes,
                file_name=upload.file_name,
                suffix=suffix,
                uploaded_at=now(),
                inspection=inspection,
            )
            await on_disk(sync, named)
            async with self._changing:
                known = await asyncio.to_thread(self._store.recording, row.id)
                await on_disk(store_durably, named, self.path(known or row))
                return await asyncio.to_thread(self._store.add, row)
        finally:
            named.unlink(missing_ok=True)

    def page(self, page: Page) -> list[RecordingRow]:
        """One page of all recordings, oldest first, and one recording more."""
        return self._store.page(page)

    def newest(self, n: int) -> list[RecordingRow]:
        """The last `n` recordings, newest first."""
        return self._store.newest(n)

    def get(self, recording_id: str) -> RecordingRow:
        """One recording.

        Raises
        ------
        Problem
            404 if there is none of that id.
        """
        row = self._store.recording(recording_id)
        if row is None:
            raise not_found("recording", recording_id, (known.id for known in self._store.page(Page())))
        return row

    def required(self, recording_id: str) -> RecordingRow:
        """One recording that a request names in its field ``recording``.

        Raises
        ------
        Problem
            422 if there is none of that id.
        """
        try:
            return self.get(recording_id)
        except Problem as problem:
            raise bad_value("recording", problem.detail, recording_id, problem.members["existing"]) from None

    def knows(self, recording_id: str) -> bool:
        """Whether there is one of that id."""
        return self._store.recording(recording_id) is not None

    def path(self, row: RecordingRow) -> Path:
        """A recording's file."""
        return self._places.recordings / f"{row.id}{row.suffix}"

    async def remove(self, recording_id: str) -> None:
        """Remove a recording and its file.

        Raises
        ------
        Problem
            404 if there is none of that id, 409 while a job needs it.
        """
        async with self._changing:
            row = await asyncio.to_thread(self.get, recording_id)
            active = await asyncio.to_thread(self._jobs.in_state, "queued", "running")
            users = [job.id for job in active if job.request.get("recording") == recording_id]
            if users:
                raise Problem(
                    409,
                    f"recording {recording_id!r} is used by job {', '.join(users)}; wait for that, or cancel it",
                    used_by=list(users),
                )
            await asyncio.to_thread(self._store.remove, recording_id)
            self.path(row).unlink(missing_ok=True)


def recording_info(row: RecordingRow) -> RecordingInfo:
    """The short form of a recording."""
    read = row.inspection["recording"]
    return RecordingInfo(
        id=row.id,
        file_name=row.file_name,
        size_bytes=row.size_bytes,
        uploaded_at=row.uploaded_at,
        format=row.inspection["format"],
        n_channels=None if read is None else len(read["channels"]),
        n_bins=None if read is None else read["bins"],
        bin_s=None if read is None else read["bin_s"],
        outputs=[] if read is None else [OutputInfo(name=one["name"], unit=one["unit"]) for one in read["outputs"]],
        problem=row.inspection["problem"] or "",
    )


def recording_detail(row: RecordingRow) -> RecordingDetail:
    """Everything about a recording."""
    return RecordingDetail(**recording_info(row).model_dump(), sha256=row.sha256, inspection=row.inspection)
