"""The job that writes a recorded session in a format of the field."""

from __future__ import annotations

import asyncio
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bmi_decoder.jobs import ExportRequest
from services.control.jobs.kind import Stage
from services.control.jobs.training_stage import linked
from services.control.recordings.library import RecordingLibrary
from services.control.rest.problem import Problem, bad_value
from services.control.rest.upload import Upload

_EXPORTED = "exported.nwb"


class ExportJob:
    """Exports; the result is another stored recording.

    Parameters
    ----------
    recordings : RecordingLibrary
    """

    def __init__(self, recordings: RecordingLibrary) -> None:
        self._recordings = recordings

    def check(self, request: ExportRequest) -> None:
        """Refuse a recording that is not there, or of another format."""
        if find_spec("pynwb") is None:
            raise Problem(501, "this installation cannot write NWB: it needs pip install 'bmi-decoder[formats]'")
        row = self._recordings.required(request.recording)
        if row.suffix != ".xdf":
            message = f"is a {row.suffix} file; recorded sessions are .xdf files, and only they are exported"
            raise bad_value("recording", message, request.recording)

    def stages(self, request: ExportRequest, folder: Path) -> list[Stage]:
        """One process, which writes."""
        # Not at the top: it takes a while to load, and few control planes export.
        from bmi_decoder.formats.nwb_export import participant_in

        row = self._recordings.get(request.recording)
        about = request.model_dump(include={"subject", "species", "sex", "age"})
        # The stored file has lost the name that tells whose it is.
        about["subject"] = request.subject or participant_in(row.file_name)
        options = [part for name, value in about.items() if value for part in (f"--{name}", value)]
        path = str(self._recordings.path(row))
        command = ("-m", "bmi_decoder.cli", "export", path, "--to", request.to, "--out", str(folder / _EXPORTED))
        return [Stage((*command, *options))]

    async def finish(self, request: ExportRequest, folder: Path) -> dict[str, Any]:
        """Add the file to the stored recordings."""
        row = await asyncio.to_thread(self._recordings.get, request.recording)
        path = await asyncio.to_thread(linked, folder / _EXPORTED)
        with path.open("rb") as file:
            digest = await asyncio.to_thread(lambda: hashlib.file_digest(file, "sha256").hexdigest())
        name = f"{Path(row.file_name).stem}.{request.to}"
        stored = await self._recordings.add(Upload(path, name, digest, path.stat().st_size))
        return {"recording": stored.id}
