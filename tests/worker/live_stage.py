"""A live loop on a clock of the test's own, with an inlet that brings what the test has written down."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import BlockFilterSettings, GapPolicy, OutputFilterSettings, RealtimeSettings
from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import parse
from services.ingest.binner import Binner
from services.ingest.expectation import StreamLayout
from services.ingest.inlet import StreamLostError
from services.ingest.monitor import StreamMonitor
from services.worker import decode, live_loop
from services.worker.decode import BinDecoder
from services.worker.flight.layout import HEADER_SIZE
from services.worker.flight.reader import FlightReader
from services.worker.flight.writer import FlightWriter
from services.worker.live_loop import LiveLoop
from services.worker.outlets import Outlets
from services.worker.publisher import Publisher
from tests.control.support import BIN_S, N_CHANNELS, write_linear_bundle

FILTERS = OutputFilterSettings(low_latency=BlockFilterSettings(order=2, cutoff_hz=6.25, width=16))
SLICE_S = TIMEOUT_S = 0.1
LOST = -2

_Clock = ctypes.CFUNCTYPE(ctypes.c_double)
_Pull = ctypes.CFUNCTYPE(
    ctypes.c_ulong,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_float),
    ctypes.POINTER(ctypes.c_double),
    ctypes.c_ulong,
    ctypes.c_ulong,
    ctypes.c_double,
    ctypes.POINTER(ctypes.c_int),
)
_Send = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_SOCKET, _IDLE_SOCKET = 1, 2


class Sample(NamedTuple):
    """What comes, and when."""

    arrives: float
    stamp: float
    counts: Any = 0.0


@dataclass
class Stage:
    """Clock, inlet and publisher in one; time passes only while a sample is awaited.

    Attributes
    ----------
    rehearsed_at : list of float
        When the compiled loop, or Python, began a rehearsal for a sample that came.
    takes : float
        How long it does.
    last : float
        When the newest sample was pulled.
    woken_late, late_from : float, int
        Time that passes beyond each wait that was in vain, when so many samples have come.
    """

    samples: list[Sample] = field(default_factory=list)
    now: float = 0.0
    takes: float = 0.0
    woken_late: float = 0.0
    late_from: int = 0
    lost_after: int | None = None
    send_fails: bool = False
    frames: list[bytes] = field(default_factory=list)
    rehearsals: list[float] = field(default_factory=list)
    polls: int = 0
    pulled: int = 0
    last: float = 0.0

    def __post_init__(self) -> None:
        self._functions = (_Pull(self._pull), _Clock(lambda: self.now), _Send(self._send))

    @property
    def rehearsed_at(self) -> list[float]:
        return [at for at in self.rehearsals if at < self.last]

    def lend(self, fields: LiveFields) -> None:
        pull, clock, send = (ctypes.cast(function, ctypes.c_void_p).value for function in self._functions)
        fields.pull, fields.clock, fields.send = pull, clock, send
        fields.socket, fields.idle_socket = _SOCKET, _IDLE_SOCKET

    def check(self, error: int) -> None:
        assert error == LOST
        raise StreamLostError("gone")

    def clock(self) -> float:
        return self.now

    def send(self, frame: bytes | bytearray) -> None:
        self.frames.append(bytes(frame))

    def rehearse(self, frame: bytes | bytearray) -> None:
        self.rehearsals.append(self.now)
        self.now += self.takes

    health = Publisher.health

    def _pull(self, inlet: int, to: Any, stamp: Any, n_channels: int, n_stamps: int, timeout: float, error: Any) -> int:
        if self.pulled == self.lost_after:
            error[0], self.lost_after = LOST, None
            return 0
        if timeout == 0:
            self.polls += 1
            self.now += 10e-6
        if self.pulled == len(self.samples) or self.samples[self.pulled].arrives > self.now + timeout:
            self.now += timeout + (self.woken_late if timeout and self.pulled >= self.late_from else 0)
            return 0
        sample = self.samples[self.pulled]
        self.pulled += 1
        self.now = self.last = max(self.now, sample.arrives)
        np.ctypeslib.as_array(to, (n_channels,))[:] = sample.counts
        stamp[0] = sample.stamp
        return n_channels

    def _send(self, socket: int, message: int, size: int, flags: int) -> int:
        if socket == _IDLE_SOCKET:
            self.rehearse(b"")
        elif self.send_fails:
            return -1
        else:
            self.send(ctypes.string_at(message, size))
        return 0


class Bench:
    """A session's hot side.

    Parameters
    ----------
    compiled : bool
        Whether the compiled loop may decode; else every sample goes through Python.
    outlets : Outlets, optional
        Of LSL, real ones.
    """

    def __init__(
        self,
        folder: Path,
        stage: Stage,
        monkeypatch: pytest.MonkeyPatch,
        compiled: bool = True,
        gap_policy: GapPolicy = "hold",
        samples_per_bin: int = 1,
        masked: Sequence[int] = (),
        outlets: Outlets | None = None,
        **realtime: Any,
    ) -> None:
        for module in (decode, live_loop):
            monkeypatch.setattr(module, "local_clock", stage.clock)
        folder.mkdir(exist_ok=True)
        self.stage, self._path = stage, folder / "flight"
        pipeline = Pipeline(read_bundle(write_linear_bundle(folder / "linear.bmi")), FILTERS, masked)
        if not compiled:
            monkeypatch.setattr(pipeline.engine, "live_call", lambda x, y: None)
        writer = FlightWriter(self._path, BIN_S, math.prod(pipeline.shape) + 2, 1, N_CHANNELS)
        self.flight = FlightReader(self._path)
        publisher: Any = stage
        self.decoder = BinDecoder("m1", pipeline, publisher, writer, 1, outlets)
        self.monitor = StreamMonitor(self.decoder.event, writer)
        self.binner = Binner(self.decoder.row, gap_policy, 1.0, 0.2, self.decoder, self.monitor.disturbance)
        self.sample_s = BIN_S / samples_per_bin
        self.layout = StreamLayout(samples_per_bin=samples_per_bin, sample_s=self.sample_s)
        self._connect: Callable[[], LiveLoop] = lambda: LiveLoop(
            stage, self.binner, self.decoder, self.monitor, writer, stage, RealtimeSettings(**realtime)
        )
        self.connect()

    def connect(self) -> None:
        """Begin with a stream, the first or a new one."""
        self.binner.connect(self.layout)
        self.monitor.connected(self.stage.now, self.sample_s)
        self.live = self._connect()

    def run(self) -> None:
        """Decode all that comes, under a new connection where one is lost."""
        while self.stage.pulled < len(self.stage.samples):
            try:
                self.live.run(SLICE_S, TIMEOUT_S)
            except StreamLostError:
                self.connect()

    @property
    def outcome(self) -> dict[str, Any]:
        """Everything that a user can see, and the state."""
        return {
            "messages": [parse(frame) if frame[:4] == b"BMIH" else frame for frame in self.stage.frames],
            "records": self.flight.records().tobytes(),
            "status": self._path.read_bytes()[:HEADER_SIZE],
            "bins": (self.binner.next_bin, self.binner.bins_in, self.binner.bins_lost, self.binner.bins_duplicated),
            "state": self.decoder.lane.pipeline.engine.state().tobytes(),
            "stream": self.monitor.state,
        }
