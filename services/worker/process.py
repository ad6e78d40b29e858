"""A session as a process: what it is made of, how it begins and ends."""

from __future__ import annotations

import contextlib
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import WorkerSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Variant
from services.command_socket import CommandServer
from services.ingest.listing import Listing
from services.timers import sharpen_timers
from services.worker.exchange import Exchange
from services.worker.flight.layout import WorkerState
from services.worker.flight.writer import FlightWriter
from services.worker.publisher import Publisher
from services.worker.realtime import apply_realtime
from services.worker.session import Session
from services.worker.shared_weights import share_weights
from services.worker.snapshot import resume

if TYPE_CHECKING:
    from services.keys import KeyFolder

_SWITCH_INTERVAL_S = 5e-5


def run(path: Path, listing: Listing) -> int:
    """Run a session until SIGTERM or SIGINT; returns 0, or 1 with the reason in the flight recorder."""
    try:
        settings = WorkerSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        return _say(f"cannot read {path}: {error.strerror}")
    except ValidationError as error:
        return _say(f"{path} is not a worker's settings: {error.errors()[0]['msg']}")
    flight_path, revision = Path(settings.flight), settings.revision
    try:
        session = settings.session
        pipeline = Pipeline(
            read_bundle(Path(settings.bundle)),
            session.output_filters,
            session.masked_channels,
            partial(share_weights, folder=flight_path.parent),
        )
    except BmiError as error:
        FlightWriter(flight_path, 1.0, 0, revision).set_state(WorkerState.failed, revision, str(error))
        return _say(str(error))
    try:
        # Room for every variant: a swap may switch filters on.
        n_values = len(Variant) * len(pipeline.outputs)
        flight = FlightWriter(flight_path, pipeline.bin_s, n_values, revision, pipeline.n_channels)
    except BmiError as error:
        return _say(str(error))
    try:
        _run(settings, flight, pipeline, listing)
    except BmiError as error:
        flight.set_state(WorkerState.failed, flight.revision, str(error))
        return _say(str(error))
    except BaseException as error:
        flight.set_state(WorkerState.failed, flight.revision, f"unexpected {type(error).__name__}: {error}")
        raise
    flight.set_state(WorkerState.stopped, flight.revision)
    return 0


def _run(settings: WorkerSettings, flight: FlightWriter, pipeline: Pipeline, listing: Listing) -> None:
    with contextlib.ExitStack() as stack:
        publisher = Publisher(settings.session.endpoint, _keys(settings))
        stack.callback(publisher.close)
        flight.set_endpoint(publisher.endpoint, publisher.server_key)
        grants = apply_realtime(settings.session.realtime)
        sharpen_timers()
        session = Session(settings, flight, pipeline, publisher, grants, listing)
        if settings.resume is not None:
            resume(session.decoder, settings.resume)
        if settings.commands is not None:
            exchange = Exchange(session.decoder, settings, publisher.disconnect)
            stack.callback(CommandServer(Path(settings.commands), exchange.answer).close)
            # A thread that loads must let the hot one pass soon; Python's own 5 ms are more than a bin.
            sys.setswitchinterval(_SWITCH_INTERVAL_S)

        def stop(signum: int, frame: FrameType | None) -> None:
            session.stop = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        session.run()


def _keys(settings: WorkerSettings) -> KeyFolder | None:
    if settings.keys is None:
        return None
    from services.keys import KeyFolder

    return KeyFolder(Path(settings.keys))


def _say(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
