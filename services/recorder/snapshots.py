"""What a session is decoded with, and its decoder's state from time to time, on their way into the file."""

from __future__ import annotations

import base64
import hashlib
import math
import threading
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bmi_decoder.bundle import Manifest, read_bundle
from bmi_decoder.config import WorkerSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.recording import Output
from services.command_socket import ask
from services.recorder.intake import Intake
from services.recorder.log import EventTrack
from services.worker.command import Command, SnapshotAnswer, SnapshotCommand

_AGAIN_S = 2.0


class Snapshots(threading.Thread):
    """Asks a worker for copies of its decoder's state.

    In a thread of its own: a worker that is busy may take seconds to answer, and a decoder takes a while to read, for
    which estimates are not kept waiting.

    Parameters
    ----------
    name : str
        Of the session.
    intake : Intake
    armed_every_s : float
        How often an armed recorder asks, so that a state is within every pre-trigger.
    log : EventTrack
        Gets `no_snapshot`.

    Attributes
    ----------
    outputs : tuple of Output
        Names and units of what the worker that is asked now decodes with; empty until it has said that.
    recording : bool
        Set by the recorder: asks only when it is told to.
    stop : bool
    """

    def __init__(self, name: str, intake: Intake, armed_every_s: float, log: EventTrack) -> None:
        super().__init__(name="snapshots", daemon=True)
        self._armed_every_s, self._log = armed_every_s, log
        self._settings_track = EventTrack(intake, f"{name}-settings")
        self._replay = EventTrack(intake, f"{name}-replay")
        self._reading = threading.Lock()
        self._known: dict[str, tuple[str, Manifest]] = {}
        self._described: tuple[Any, ...] = ()
        self._changed = threading.Condition()
        self._worker: WorkerSettings | None = None
        self._due, self._told = math.inf, ""
        self.outputs: tuple[Output, ...] = ()
        self.recording = self.stop = False

    def follow(self, worker: WorkerSettings | None) -> None:
        """Ask this worker from now on, and at once; None asks nobody."""
        with self._changed:
            self._worker, self._due, self.outputs = worker, 0.0, ()
            self._changed.notify()

    def soon(self) -> None:
        """Ask for the state at the next opportunity."""
        with self._changed:
            self._due = 0.0
            self._changed.notify()

    def end(self) -> None:
        """Let the thread come to its end."""
        with self._changed:
            self.stop = True
            self._changed.notify()

    def run(self) -> None:
        """Ask whenever it is due."""
        while (worker := self._next()) is not None:
            if not self._take(worker):
                with self._changed:
                    self._due = min(self._due, time.monotonic() + _AGAIN_S)

    def decoder(self, path: Path) -> tuple[str, Manifest]:
        """Digest and manifest of a decoder; its file goes into the recording when it is first seen.

        Raises
        ------
        BmiError
            If it cannot be read, or the recording has no room for it now.
        """
        with self._reading:
            if str(path) not in self._known:
                try:
                    content = path.read_bytes()
                except OSError as error:
                    raise BmiError(f"cannot read decoder {path}: {error.strerror}") from None
                sha256, manifest = hashlib.sha256(content).hexdigest(), read_bundle(path).manifest
                bundle = base64.b64encode(content).decode()
                self._keep(self._replay, {"event": "decoder", "sha256": sha256, "bundle": bundle}, "decoder")
                self._known = {str(path): (sha256, manifest)}
            return self._known[str(path)]

    def _next(self) -> WorkerSettings | None:
        """Wait until something is to be asked; None is the end."""
        with self._changed:
            while not self.stop:
                wait = self._due - time.monotonic()
                if self._worker is None or wait > 0:
                    self._changed.wait(None if self._worker is None or math.isinf(wait) else wait)
                    continue
                # Before it is asked: whoever wants another one meanwhile gets it.
                self._due = math.inf if self.recording else time.monotonic() + self._armed_every_s
                return self._worker
        return None

    def _take(self, worker: WorkerSettings) -> bool:
        try:
            if worker.commands is None:
                raise BmiError("the worker takes no commands")
            line = ask(Path(worker.commands), Command(snapshot=SnapshotCommand()))
            answer = SnapshotAnswer.model_validate_json(line)
            if answer.outcome != "taken":
                raise BmiError("the worker is busy")
            self._describe(worker, answer)
        except (BmiError, ValidationError) as error:
            if str(error) != self._told:
                self._told = str(error)
                self._log.put({"event": "no_snapshot", "reason": str(error)})
            return False
        state = {"since_reset": answer.since_reset, "pending": answer.pending, "state": answer.state}
        return self._replay.put({"event": "state", "revision": answer.revision, "sequence": answer.sequence, **state})

    def _describe(self, worker: WorkerSettings, answer: SnapshotAnswer) -> None:
        """Write what the worker decodes with, if that is not what it was."""
        sha256, manifest = self.decoder(Path(answer.bundle))
        with self._changed:
            if worker is self._worker:
                self.outputs = outputs(manifest)
        described = (answer.revision, answer.bundle, answer.output_filters, answer.masked_channels, worker.session)
        if described == self._described:
            return
        filters = manifest.output_filters if answer.output_filters is None else answer.output_filters
        settings = {
            "event": "settings",
            "revision": answer.revision,
            "sequence": answer.sequence,
            "decoder": manifest.decoder,
            "sha256": sha256,
            "bin_s": manifest.bin_s,
            "outputs": [[output.name, output.unit] for output in manifest.outputs],
            "output_filters": filters.model_dump(),
            "masked_channels": answer.masked_channels,
            "session": worker.session.model_dump(),
        }
        self._keep(self._settings_track, settings, "settings")
        self._described = described

    def _keep(self, track: EventTrack, event: dict[str, Any], key: str) -> None:
        """Write what explains the estimates: without it a recording could not be decoded again."""
        if not track.put(event, keep=key):
            raise BmiError(f"there is no room for the {key}: the disk is too slow")


def outputs(manifest: Manifest) -> tuple[Output, ...]:
    """What a decoder decodes."""
    return tuple(Output(output.name, output.unit) for output in manifest.outputs)
