"""A session on its way into the file: estimates, events, and what they were decoded with."""

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
from bmi_decoder.client import ALL_TOPICS, Subscriber
from bmi_decoder.config import WorkerSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.recording import Output
from bmi_decoder.wire import Estimate, Health
from services.command_socket import ask
from services.recorder.estimates import EstimateTracks
from services.recorder.intake import Intake
from services.recorder.log import EventTrack
from services.recorder.lsl_source import CHUNK_S
from services.worker.command import Command, SnapshotAnswer, SnapshotCommand
from services.worker.flight import FlightReader, WorkerStatus, lsl_clock

_LOOK_S = 0.5
_CONNECT_S = 2.0
_AGAIN_S = 2.0
_NEW_DECODER = ("swap", "rolled_back")


class SessionSource(threading.Thread):
    """Follows a session's worker, and the next one when it is started again.

    Nothing is asked of the worker's hot thread but a copy of the decoder's state, between two bins: when the
    recording begins, behind each swap, and from time to time while the recorder is armed.

    Parameters
    ----------
    worker : Path
        The settings file of the worker.
    name : str
        Of the session.
    intake : Intake
    armed_every_s : float
        How often an armed recorder asks for the state, so that one is within every pre-trigger.
    log : EventTrack
        Gets `worker_found`, `worker_lost`, `no_snapshot`, `no_decoder` and `estimates_lost`.

    Attributes
    ----------
    connected : bool
    recording : bool
        Set by the recorder.
    """

    def __init__(self, worker: Path, name: str, intake: Intake, armed_every_s: float, log: EventTrack) -> None:
        super().__init__(name="session", daemon=True)
        self._worker, self._armed_every_s, self._log = worker, armed_every_s, log
        self._health = EventTrack(intake, f"{name}-health")
        self._settings = EventTrack(intake, f"{name}-settings")
        self._replay = EventTrack(intake, f"{name}-replay")
        self._estimates = EstimateTracks(intake, name)
        self._known: dict[str, tuple[str, Manifest]] = {}
        self._described: tuple[Any, ...] = ()
        self._snapshot_due, self._told = 0.0, ""
        self.connected = self.recording = self.stop = False

    def run(self) -> None:
        """Follow until stopped."""
        while not self.stop:
            found = self._running()
            if found is None:
                time.sleep(_LOOK_S)
                continue
            settings, status = found
            try:
                with Subscriber(status.endpoint, ALL_TOPICS) as subscriber:
                    subscriber.wait_connected(_CONNECT_S)
                    self._log.put({"event": "worker_found", "endpoint": status.endpoint, "pid": status.pid})
                    self.connected = True
                    self._follow(subscriber, settings, status.pid)
            except TimeoutError:
                continue
            finally:
                self._estimates.flush()
                self.connected = False
            if not self.stop:
                self._log.put({"event": "worker_lost", "endpoint": status.endpoint, "pid": status.pid})

    def snapshot_now(self) -> None:
        """Ask for the state at the next opportunity."""
        self._snapshot_due = 0.0

    def _running(self) -> tuple[WorkerSettings, WorkerStatus] | None:
        try:
            settings = WorkerSettings.model_validate_json(self._worker.read_bytes())
            reader = FlightReader(Path(settings.flight))
        except (OSError, ValidationError, InputError):
            return None  # not started, or on its way in or out
        try:
            status = reader.status()
        finally:
            reader.close()
        return (settings, status) if status.endpoint and status.state in ("searching", "running") else None

    def _follow(self, subscriber: Subscriber, settings: WorkerSettings, pid: int) -> None:
        looked_at = written_at = time.monotonic()
        lost = 0
        try:
            # A swap changes neither names nor units.
            self._estimates.outputs = _outputs(self._bundle(Path(settings.bundle))[1])
        except BmiError as error:
            self._log.put({"event": "no_decoder", "reason": str(error)})
        self.snapshot_now()
        while not self.stop:
            now = time.monotonic()
            if now >= self._snapshot_due:
                # Before it is asked for: whoever wants another one meanwhile gets it.
                self._snapshot_due = math.inf if self.recording else now + self._armed_every_s
                if not self._take_snapshot(settings):
                    self._snapshot_due = now + _AGAIN_S
            message = subscriber.receive(CHUNK_S / 2)
            if isinstance(message, Estimate):
                self._estimates.add(message)
            elif isinstance(message, Health):
                # Before the event what came before it, so that the file has the order of the wire.
                self._estimates.flush()
                self._health.put(message.event, float(message.event.get("at", lsl_clock())))
                if message.event.get("event") in _NEW_DECODER:
                    self.snapshot_now()
            if subscriber.lost != lost:
                self._log.put({"event": "estimates_lost", "estimates": subscriber.lost - lost})
                lost = subscriber.lost
            if now - written_at >= CHUNK_S:
                written_at = now
                self._estimates.flush()
            if now - looked_at >= _LOOK_S:
                looked_at = now
                found = self._running()
                if found is None or found[1].pid != pid:
                    return

    def _take_snapshot(self, settings: WorkerSettings) -> bool:
        try:
            if settings.commands is None:
                raise BmiError("the worker takes no commands")
            line = ask(Path(settings.commands), Command(snapshot=SnapshotCommand()))
            answer = SnapshotAnswer.model_validate_json(line)
            if answer.outcome != "taken":
                raise BmiError("the worker is busy")
            self._describe(settings, answer)
        except (BmiError, ValidationError) as error:
            if str(error) != self._told:
                self._told = str(error)
                self._log.put({"event": "no_snapshot", "reason": str(error)})
            return False
        state = {"since_reset": answer.since_reset, "pending": answer.pending, "state": answer.state}
        self._replay.put({"event": "state", "revision": answer.revision, "sequence": answer.sequence, **state})
        return True

    def _describe(self, settings: WorkerSettings, answer: SnapshotAnswer) -> None:
        """Write what the worker decodes with, if that is not what it was."""
        described = (answer.revision, answer.bundle, answer.output_filters, settings.session)
        if described == self._described:
            return
        sha256, manifest = self._bundle(Path(answer.bundle))
        filters = manifest.output_filters if answer.output_filters is None else answer.output_filters
        self._settings.put(
            {
                "event": "settings",
                "revision": answer.revision,
                "sequence": answer.sequence,
                "decoder": manifest.decoder,
                "sha256": sha256,
                "bin_s": manifest.bin_s,
                "outputs": [[output.name, output.unit] for output in manifest.outputs],
                "output_filters": filters.model_dump(),
                "session": settings.session.model_dump(),
            },
            keep="settings",
        )
        self._described = described

    def _bundle(self, path: Path) -> tuple[str, Manifest]:
        """Digest and manifest of a decoder; its file goes into the recording when it is first seen."""
        if str(path) not in self._known:
            try:
                content = path.read_bytes()
            except OSError as error:
                raise BmiError(f"cannot read decoder {path}: {error.strerror}") from None
            sha256 = hashlib.sha256(content).hexdigest()
            self._known = {str(path): (sha256, read_bundle(path).manifest)}
            bundle = base64.b64encode(content).decode()
            self._replay.put({"event": "decoder", "sha256": sha256, "bundle": bundle}, keep="decoder")
        return self._known[str(path)]


def _outputs(manifest: Manifest) -> tuple[Output, ...]:
    return tuple(Output(output.name, output.unit) for output in manifest.outputs)
