"""The job that trains a decoder on a stored recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bmi_decoder.jobs import TrainRequest
from services.control.jobs.kind import Stage
from services.control.jobs.training_stage import Training
from services.control.recordings.library import RecordingLibrary
from services.control.storage.disk_threads import on_disk


class TrainJob:
    """Trains; the result is a stored decoder.

    Parameters
    ----------
    training : Training
    recordings : RecordingLibrary
    """

    def __init__(self, training: Training, recordings: RecordingLibrary) -> None:
        self._training, self._recordings = training, recordings

    def check(self, request: TrainRequest) -> None:
        """Refuse what names something that is not there."""
        self._training.check(request)
        self._recordings.required(request.recording)

    def stages(self, request: TrainRequest, folder: Path) -> list[Stage]:
        """One process, which trains."""
        recording = self._recordings.path(self._recordings.get(request.recording))
        return [self._training.stage(self._training.order(request, recording, request.reading, folder))]

    async def finish(self, request: TrainRequest, folder: Path) -> dict[str, Any]:
        """Add the bundle to the stored decoders."""
        return await on_disk(self._training.keep, request.decoder, folder)
