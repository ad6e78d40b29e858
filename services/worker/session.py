"""One live session: search the stream, decode it, search again when it is lost."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from dataclasses import asdict

import pylsl

from bmi_decoder import wire
from bmi_decoder.config import WorkerSettings
from bmi_decoder.errors import StreamMismatchError
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.rest_models import RealtimeGrant
from services.ingest.binner import Binner
from services.ingest.description import read_description
from services.ingest.expectation import check_stream
from services.ingest.inlet import SampleInlet, StreamLostError
from services.ingest.inlet_watch import InletWatch
from services.ingest.listing import Listing
from services.ingest.lsl import describe
from services.ingest.monitor import StreamMonitor
from services.worker.decode import BinDecoder, local_clock
from services.worker.finder import StreamFinder
from services.worker.flight.layout import WorkerState
from services.worker.flight.writer import FlightWriter
from services.worker.live_loop import LiveLoop
from services.worker.outlets import Outlets
from services.worker.publisher import Publisher

_POLL_S = 0.05
"""Longest wait for a sample before the loop looks at a stream's silence, and whether a heartbeat is due."""

_SLICE_S = 0.1
"""How long bins are decoded before Python looks whether it is to stop. Each look costs as much as some bins."""


class Session:
    """Runs until `stop` is set.

    Parameters
    ----------
    settings : WorkerSettings
    flight : FlightWriter
    pipeline : Pipeline
    publisher : Publisher
    grants : sequence of RealtimeGrant, optional
        What was asked of the operating system, and granted.
    listing : Listing, optional
        Of streams, begun before.

    Attributes
    ----------
    decoder : BinDecoder
    stop : bool
        Set it, from a signal handler for example, and `run` returns within a slice or a poll.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        flight: FlightWriter,
        pipeline: Pipeline,
        publisher: Publisher,
        grants: Sequence[RealtimeGrant] = (),
        listing: Listing | None = None,
    ) -> None:
        self._settings, self._flight, self._publisher = settings, flight, publisher
        self._grants = grants
        flight.set_realtime(grants)
        session = settings.session
        outlets = Outlets(session.name) if session.lsl_outlets else None
        self.decoder = BinDecoder(session.name, pipeline, publisher, flight, settings.revision, outlets)
        self._monitor = StreamMonitor(self.decoder.event, flight)
        self._binner = Binner(
            self.decoder.row,
            session.gap_policy,
            session.max_gap_s,
            session.max_age_s,
            self.decoder,
            self._monitor.disturbance,
        )
        self._finder = StreamFinder(session.stream, self._monitor, flight, self._rest, listing)
        self._last_sent = -math.inf
        self.stop = False

    def run(self) -> None:
        """Search and decode until stopped.

        Raises
        ------
        BmiError
            If the stream is not found in time, or is not what the session expects.
        """
        while not self.stop:
            info = self._finder.find()
            if info is None:
                return
            try:
                self._decode_stream(info)
            except StreamLostError as error:
                self._monitor.lost(local_clock(), str(error), stream=info.name())
            except StreamMismatchError as error:
                self._finder.refuse(info, error)

    def _decode_stream(self, info: pylsl.StreamInfo) -> None:
        stream, inlet = describe(info), self._finder.connect(info)
        try:
            description = read_description(inlet.full_info)
            # A swap changes neither.
            pipeline = self.decoder.lane.pipeline
            layout = check_stream(stream, description, pipeline.n_channels, pipeline.bin_s)
            self._finder.last = stream
            inlet.open(self._binner.connect(layout))
            wanted = self._settings.session.realtime
            live = LiveLoop(inlet, self._binner, self.decoder, self._monitor, self._flight, self._publisher, wanted)
            if wanted.direct and (why_not := inlet.connect_directly()):
                self._say_direct(why_not)
            self._flight.set_state(WorkerState.running, self._flight.revision)
            self._monitor.connected(local_clock(), layout.sample_s, **asdict(stream))
            watch = InletWatch(inlet, self._flight.set_inlet)
            watch.start()
            try:
                self._hot_loop(live, inlet)
            finally:
                watch.end()
                self._flight.set_inlet(math.nan, 0)
        finally:
            self._finder.stop_listening()
            inlet.close()

    def _say_direct(self, why_not: str) -> None:
        why = why_not and f"{why_not}; a thread of liblsl's reads it"
        direct = RealtimeGrant(option="direct", requested=True, granted=not why, why=why)
        self._flight.set_realtime([*self._grants, direct])

    def _hot_loop(self, live: LiveLoop, inlet: SampleInlet) -> None:
        decoder = self.decoder
        listening = False
        # Nothing in the loop makes reference cycles, and a collection would cost a deadline.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while not self.stop:
                decoded = decoder.sequence
                live.run(_SLICE_S, _POLL_S)
                if (why_not := inlet.settle()) is not None:
                    self._say_direct(why_not)
                # Also where samples come, and are of no use.
                self._rest()
                if self._monitor.silence(local_clock()) and decoder.sequence == decoded:
                    listening = True
                    self._finder.listen()
                elif listening and decoder.sequence != decoded:
                    listening = False
                    self._finder.stop_listening()
        finally:
            gc.enable()
            gc.unfreeze()

    def _rest(self) -> bool:
        """What is done between bins, and while none come; whether the session is to stop."""
        self.decoder.take_requests()
        now = local_clock()
        if now - max(self._last_sent, self.decoder.last_bin_at) >= self._settings.heartbeat_s:
            self._publisher.send(wire.pack_heartbeat(now, self.decoder.sequence, self.decoder.lane.revision))
            self._last_sent = now
        return self.stop
