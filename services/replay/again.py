"""Decodes stretches of a recording again, with real workers over LSL and ZeroMQ, and compares every bit."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from bmi_decoder.client import Subscriber
from bmi_decoder.config import SessionSettings, SnapshotSettings, WorkerSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.recorded_session import RecordedSession
from bmi_decoder.wire import ESTIMATE, HEARTBEAT, Estimate, Flag, Variant
from services.processes import Child, running
from services.replay.passes import Pass, passes, samples_of
from services.replay.player import Part, StreamPlayer
from services.worker.flight.reader import FlightReader

_START_S = 60.0
_SILENCE_S = 10.0


@dataclass
class Comparison:
    """How a second decode went.

    Attributes
    ----------
    estimates : int
        Recorded.
    compared : int
        Of these, how many were decoded again.
    passes : int
        Workers that were needed.
    difference : str
        The first; empty if there is none.
    """

    estimates: int
    compared: int = 0
    passes: int = 0
    difference: str = ""


def decode_again(session: RecordedSession, speed: float, tell: Callable[[str], None]) -> Comparison:
    """Decode all that can be decoded again, up to the first difference.

    Raises
    ------
    BmiError
        If nothing can, or a worker fails.
    """
    planned = passes(session)
    if not planned:
        raise BmiError(
            f"{session.path}: no estimate can be decoded again, as the decoder's state is not known: the recording has "
            "neither a state nor a reset, nor the first bin of its worker"
        )
    result = Comparison(len(session.estimates["sequence"]))
    for one in planned:
        tell(f"decoding estimates {one.compare} to {one.stop - 1} again, revision {one.revision}")
        with tempfile.TemporaryDirectory(prefix="bmi-replay-") as folder:
            again = _run(session, one, speed, Path(folder))
        result.passes += 1
        result.difference = first_difference(session, one, again)
        if result.difference:
            break
        result.compared += one.stop - one.compare
    return result


def _run(session: RecordedSession, one: Pass, speed: float, folder: Path) -> list[Estimate]:
    settings = _worker_settings(session, one, speed, folder)
    path = folder / "worker.json"
    path.write_text(settings.model_dump_json())
    with running("worker", ["-m", "services.worker", str(path)], folder) as worker:
        flight = _wait(worker, lambda: FlightReader.opened(Path(settings.flight)))
        endpoint = _wait(worker, lambda: flight.status().endpoint or None)
        with Subscriber(endpoint, (ESTIMATE, HEARTBEAT)) as subscriber:
            subscriber.wait_connected(_START_S)
            part = Part(session.neural, settings.session.stream.name, samples_of(session, one))
            player = StreamPlayer([part], speed)
            _wait(worker, lambda: flight.status().state == "running" or None)
            if not player.wait_for_consumer():
                raise BmiError("interrupted")
            player.play()
            wanted = one.stop - one.begin
            return _receive(subscriber, wanted)


def _receive(subscriber: Subscriber, wanted: int) -> list[Estimate]:
    received: list[Estimate] = []
    silent_since = time.monotonic()
    while len(received) < wanted and time.monotonic() - silent_since < _SILENCE_S:
        message = subscriber.receive(0.5)
        if isinstance(message, Estimate):
            received.append(message)
            silent_since = time.monotonic()
    return received


def _worker_settings(session: RecordedSession, one: Pass, speed: float, folder: Path) -> WorkerSettings:
    said = session.settings_of(one.revision)
    bundle = folder / "decoder.bmi"
    if said["sha256"] not in session.decoders:
        raise InputError(f"{session.path}: decoder {said['sha256'][:16]} is not in the recording")
    bundle.write_bytes(session.decoders[said["sha256"]])
    recorded = SessionSettings.model_validate(said["session"])
    stream = {"name": f"replay-{uuid4().hex[:10]}", "type": session.neural.type, "search_timeout_s": _START_S}
    changed: dict[str, Any] = {
        "stream": stream,
        "endpoint": "tcp://127.0.0.1:0",
        "encryption": "none",
        "lsl_outlets": False,
        "output_filters": said["output_filters"],
        "masked_channels": said["masked_channels"],
        "max_gap_s": recorded.max_gap_s / speed,
        "max_age_s": recorded.max_age_s / speed,
        "realtime": {},
    }
    state = one.state
    return WorkerSettings(
        session=SessionSettings.model_validate(recorded.model_dump() | changed),
        bundle=str(bundle),
        flight=str(folder / "flight"),
        revision=one.revision,
        resume=None
        if state is None
        else SnapshotSettings(since_reset=state["since_reset"], pending=state["pending"], state=state["state"]),
    )


def first_difference(session: RecordedSession, one: Pass, again: list[Estimate]) -> str:
    """The first difference, in words; empty if there is none."""
    about = session.estimates
    index: dict[Variant, tuple[np.ndarray, np.ndarray]] = {}
    for decoded in session.decoded:
        of_row = np.full(len(about["sequence"]), -1)
        of_row[decoded.rows] = np.arange(len(decoded.rows))
        index[decoded.variant] = (of_row, np.asarray(decoded.stream.values, np.float32))
    nothing = np.full(len(about["sequence"]), -1), np.empty((0, 0), np.float32)
    by_sequence = {estimate.sequence: estimate for estimate in again}
    first_bin = again[0].bin_index if again else 0
    for row in range(one.compare, one.stop):
        number = int(about["sequence"][row])
        what = f"estimate {number} of revision {one.revision} (bin {int(about['bin_index'][row])})"
        estimate = by_sequence.get(number - int(about["sequence"][one.begin]))
        if estimate is None:
            return f"{what} did not come again"
        bins = int(about["bin_index"][row] - about["bin_index"][one.begin])
        if estimate.bin_index - first_bin != bins:
            return f"{what} came {estimate.bin_index - first_bin} bins behind the first, recorded were {bins}"
        ignored = Flag.SWAPPED | (Flag.RESET if row == one.begin else Flag(0))
        flags = Flag(int(about["flags"][row])) & ~ignored
        if estimate.flags & ~ignored != flags:
            return f"{what} has flags {int(estimate.flags)}, recorded were {int(about['flags'][row])}"
        for variant in estimate.variants:
            of_row, values = index.get(variant, nothing)
            found = np.ascontiguousarray(estimate.variant(variant), np.float32)
            if of_row[row] < 0:
                return f"{what} has {variant.name}, which was not recorded"
            recorded = values[of_row[row]]
            if recorded.tobytes() != found.tobytes():
                return f"{what}: {variant.name} is {found.tolist()}, recorded was {recorded.tolist()}"
    return ""


def _wait(worker: Child, look: Callable[[], Any]) -> Any:
    """Wait until `look` gives something; a worker that ends meanwhile is an error."""
    deadline = time.monotonic() + _START_S
    while (found := look()) is None:
        worker.check()
        if time.monotonic() > deadline:
            raise BmiError(f"the worker was not ready in {_START_S:g} s: {worker.last_words()}")
        time.sleep(0.05)
    return found
