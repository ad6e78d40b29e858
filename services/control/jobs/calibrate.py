"""The job that collects from two live streams and trains a decoder on that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmi_decoder.errors import BmiError
from bmi_decoder.jobs import CalibrateRequest, ReadingSettings
from services.control.jobs.kind import Stage
from services.control.jobs.training_stage import Training, linked
from services.control.recordings.library import RecordingLibrary
from services.control.rest.problem import bad_value
from services.control.rest.upload import Upload
from services.control.storage.disk_threads import on_disk
from services.control.storage.store import Store

if TYPE_CHECKING:
    from services.ingest.found import FoundStream

_CHECK, _COLLECT = 0.05, 0.5
"""Shares of the job's work; training is the rest."""

_RECORDING, _REPORT = "collected.npz", "collected.json"


@dataclass(frozen=True)
class _Plan:
    """What will be collected."""

    n_channels: int
    n_outputs: int
    bin_s: float
    train_bin_s: float


class CalibrateJob:
    """Collects, trains; the result is a stored decoder and a stored recording.

    Parameters
    ----------
    training : Training
    recordings : RecordingLibrary
    store : Store
    """

    def __init__(self, training: Training, recordings: RecordingLibrary, store: Store) -> None:
        self._training, self._recordings, self._store = training, recordings, store

    def check(self, request: CalibrateRequest) -> None:
        """Refuse what names something that is not there, and streams that cannot be used; takes seconds."""
        self._training.check(request)
        self._plan(request)

    def stages(self, request: CalibrateRequest, folder: Path) -> list[Stage]:
        """Three processes: one checks the decoder's settings on this stream, one collects, one trains."""
        plan = self._plan(request)
        request = request.model_copy(update={"bin_s": plan.train_bin_s})
        recording = folder / _RECORDING
        training = self._training.order(request, recording, ReadingSettings(), folder)
        shape = {"n_channels": plan.n_channels, "n_outputs": plan.n_outputs, "bin_s": plan.bin_s}
        checking = folder / "check.json"
        checking.write_text(json.dumps(shape | {"seconds": request.seconds, "order": str(training)}))
        collecting = folder / "collect.json"
        order = request.model_dump(mode="json", include={"neural", "kinematics", "seconds", "split", "bin_s"})
        collecting.write_text(json.dumps(order | {"recording": str(recording), "report": str(folder / _REPORT)}))
        return [
            Stage(("-m", "bmi_decoder.training.check_job", str(checking)), _CHECK),
            Stage(("-m", "services.calibration", str(collecting)), _COLLECT),
            self._training.stage(training, 1 - _CHECK - _COLLECT),
        ]

    async def finish(self, request: CalibrateRequest, folder: Path) -> dict[str, Any]:
        """Add the recording to the stored ones, and the bundle to the stored decoders."""
        path = await on_disk(linked, folder / _RECORDING)
        content = await on_disk(path.read_bytes)
        digest = hashlib.sha256(content).hexdigest()
        stored = await self._recordings.add(Upload(path, f"{request.neural.name}.npz", digest, len(content)))
        try:
            kept = await on_disk(self._training.keep, request.decoder, folder)
        except BaseException:
            await self._recordings.remove(stored.id)
            raise
        return kept | {"recording": stored.id, "collected": json.loads((folder / _REPORT).read_bytes())}

    def _plan(self, request: CalibrateRequest) -> _Plan:
        """Look at the streams, and refuse what cannot be used.

        Raises
        ------
        Problem
            422.
        """
        # Not at the top: pylsl reads its configuration when it is imported, and that is set up by `serve`.
        from services.calibration import streams

        found: dict[str, FoundStream] = {}
        wanted = {"neural": request.neural, "kinematics": request.kinematics}
        for field, stream in wanted.items():
            try:
                found[field] = streams.find(stream.wanted)
                if field == "neural":
                    streams.check_neural(found[field])
                else:
                    streams.check_kinematics(found[field], request.kinematics.outputs)
            except BmiError as error:
                raise bad_value(field, str(error), stream.name) from None
        neural, kinematics = found["neural"], found["kinematics"]
        try:
            streams.check_pair(neural, kinematics)
        except BmiError as error:
            raise bad_value("kinematics", str(error), request.kinematics.name) from None
        train_bin_s = self._check_bins(request, neural)
        try:
            streams.check_seconds(request.seconds, request.split, train_bin_s)
        except BmiError as error:
            raise bad_value("seconds", str(error), request.seconds) from None
        return _Plan(neural.visible.n_channels, kinematics.visible.n_channels, neural.bin_s, train_bin_s)

    def _check_bins(self, request: CalibrateRequest, neural: FoundStream) -> float:
        """The width of the bins to train on: as asked for, or of the session's decoder, or of the stream."""
        # Not at the top: see above.
        from services.ingest.expectation import check_stream

        if request.session is not None:
            session = self._training.session(request.session)
            decoder = self._store.decoder(session.decoder)
            assert decoder is not None  # a session keeps its decoder from being deleted
            bin_s = request.bin_s or float(decoder.manifest["bin_s"])
            field, got, n_channels = "session", request.session, int(decoder.manifest["n_channels"])
        else:
            bin_s = request.bin_s or neural.bin_s
            field, got, n_channels = "bin_s", "", neural.visible.n_channels
        try:
            check_stream(neural.visible, neural.description, n_channels, bin_s)
        except BmiError as error:
            raise bad_value(field, str(error), got or request.bin_s) from None
        return bin_s
