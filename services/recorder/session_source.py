"""A session on its way into the file: estimates, events, and what they were decoded with."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pydantic import ValidationError

from bmi_decoder.clock import lsl_clock
from bmi_decoder.config import WorkerSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.subscriber import ALL_TOPICS, AccessError, Subscriber
from bmi_decoder.wire import Estimate, Health
from services.keys import KeyFolder
from services.recorder.estimates import EstimateTracks
from services.recorder.intake import Intake
from services.recorder.log import EventTrack
from services.recorder.lsl_source import CHUNK_S
from services.recorder.snapshots import Snapshots, outputs
from services.worker.flight.reader import FlightReader
from services.worker.flight.status import WorkerStatus

_LOOK_S = 0.5
_CONNECT_S = 2.0
_REFUSED_S = 2.0
_NEW_DECODER = ("swap", "rolled_back")


class SessionSource(threading.Thread):
    """Follows a session's worker, and the next one when it is started again.

    Nothing is asked of the worker's hot thread but a copy of the decoder's state, between two bins: when the
    recording begins, behind each swap, and from time to time while the recorder is armed. This thread waits for nothing
    but messages, so that estimates are on their way to the file a fifth of a second after they came.

    Parameters
    ----------
    worker : Path
        The settings file of the worker.
    name : str
        Of the session.
    intake : Intake
    snapshots : Snapshots
        Is told whom to ask.
    log : EventTrack
        Gets `worker_found`, `worker_lost`, `refused`, `no_decoder` and `estimates_lost`.

    Attributes
    ----------
    connected, stop : bool
    """

    def __init__(self, worker: Path, name: str, intake: Intake, snapshots: Snapshots, log: EventTrack) -> None:
        super().__init__(name="session", daemon=True)
        self._worker, self._snapshots, self._log = worker, snapshots, log
        self._health = EventTrack(intake, f"{name}-health")
        self._estimates = EstimateTracks(intake, name)
        self.connected = self.stop = False

    def run(self) -> None:
        """Follow until stopped."""
        while not self.stop:
            found = self._running()
            if found is None:
                time.sleep(_LOOK_S)
                continue
            settings, status = found
            try:
                with _subscriber(settings, status) as subscriber:
                    subscriber.wait_connected(_CONNECT_S)
                    self._log.put({"event": "worker_found", "endpoint": status.endpoint, "pid": status.pid})
                    self.connected = True
                    self._follow(subscriber, settings, status.pid)
            except TimeoutError:
                continue
            except (AccessError, InputError) as error:
                self._log.put({"event": "refused", "endpoint": status.endpoint, "reason": str(error)})
                time.sleep(_REFUSED_S)
                continue
            finally:
                self.connected = False
                self._snapshots.follow(None)
                self._estimates.flush()
            if not self.stop:
                self._log.put({"event": "worker_lost", "endpoint": status.endpoint, "pid": status.pid})

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
            self._estimates.outputs = outputs(self._snapshots.decoder(Path(settings.bundle))[1])
        except BmiError as error:
            # Behind swaps, what the worker was started with may be deleted: it tells what it uses now.
            self._estimates.outputs = ()
            self._log.put({"event": "no_decoder", "reason": str(error)})
        self._snapshots.follow(settings)
        while not self.stop:
            now = time.monotonic()
            self._estimates.outputs = self._estimates.outputs or self._snapshots.outputs
            message = subscriber.receive(CHUNK_S / 2)
            if isinstance(message, Estimate):
                self._estimates.add(message)
            elif isinstance(message, Health):
                # Before the event what came before it, so that the file has the order of the wire.
                self._estimates.flush()
                self._health.put(message.event, float(message.event.get("at", lsl_clock())))
                if message.event.get("event") in _NEW_DECODER:
                    self._snapshots.soon()
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


def _subscriber(settings: WorkerSettings, status: WorkerStatus) -> Subscriber:
    if settings.keys is None:
        return Subscriber(status.endpoint, ALL_TOPICS)
    key = KeyFolder(Path(settings.keys)).service()
    return Subscriber(status.endpoint, ALL_TOPICS, server_key=status.server_key, key=key)
