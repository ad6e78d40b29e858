"""The job that trains a decoder on a stored recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bmi_decoder.jobs import TrainRequest
from services.control.job_kind import Stage
from services.control.library import Library
from services.control.places import DataDirectory
from services.control.problem import Problem, bad_value
from services.control.recording_library import RecordingLibrary
from services.control.training_stage import check_can_train, keep_trained, training_stage


class TrainJob:
    """Trains; the result is a stored decoder.

    Parameters
    ----------
    places : DataDirectory
    library : Library
    recordings : RecordingLibrary
    """

    def __init__(self, places: DataDirectory, library: Library, recordings: RecordingLibrary) -> None:
        self._places, self._library, self._recordings = places, library, recordings

    def check(self, request: TrainRequest) -> None:
        """Refuse what names something that is not there."""
        check_can_train(request.decoder)
        for field, get in (("recording", self._recordings.get), ("init_from", self._library.get)):
            wanted = getattr(request, field)
            try:
                _ = wanted is None or get(wanted)
            except Problem as problem:
                raise bad_value(field, problem.detail, wanted, problem.members["existing"]) from None

    def stages(self, request: TrainRequest, folder: Path) -> list[Stage]:
        """One process, which trains."""
        recording = self._recordings.path(self._recordings.get(request.recording))
        initial = None
        if request.init_from is not None:
            initial = self._places.decoder(self._library.get(request.init_from).id)
        return [training_stage(request, recording, initial, folder)]

    def finish(self, request: TrainRequest, folder: Path) -> dict[str, Any]:
        """Add the bundle to the stored decoders."""
        return keep_trained(self._library, request.decoder, folder)
