"""One live session: search the stream, decode it, search again when it is lost."""

from __future__ import annotations

import contextlib
import gc
import math
import time
from dataclasses import asdict

import pylsl

from bmi_decoder import wire
from bmi_decoder.config import WorkerSettings
from bmi_decoder.errors import BmiError, StreamMismatchError
from bmi_decoder.pipeline import Pipeline
from services.ingest.binner import Binner
from services.ingest.description import read_description
from services.ingest.expectation import check_stream
from services.ingest.inlet import SampleInlet, StreamLostError
from services.ingest.listing import Listing
from services.ingest.lsl import VisibleStream, describe
from services.ingest.monitor import StreamMonitor
from services.ingest.search import StreamSearch
from services.worker.decode import BinDecoder, local_clock
from services.worker.flight import FlightWriter, WorkerState
from services.worker.publisher import Publisher
from services.worker.punctual import PunctualInlet

_FORGET_S = 1.0
"""How long an outlet that was just lost is not taken back: it may be on its way out and still be listed."""

_SETTLING_POLL_S = 0.005
_POLL_S = 0.05
"""Longest wait before the loop looks at its stop flag, at a stream's silence, and whether a heartbeat is due."""


class Session:
    """Runs until `stop` is set.

    Parameters
    ----------
    settings : WorkerSettings
    flight : FlightWriter
    pipeline : Pipeline
    publisher : Publisher
    listing : Listing, optional
        Of streams, begun before.

    Attributes
    ----------
    decoder : BinDecoder
    stop : bool
        Set it, from a signal handler for example, and `run` returns within a poll.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        flight: FlightWriter,
        pipeline: Pipeline,
        publisher: Publisher,
        listing: Listing | None = None,
    ) -> None:
        self._settings, self._flight, self._publisher = settings, flight, publisher
        session = settings.session
        self.decoder = BinDecoder(session.name, pipeline, publisher, flight, settings.revision)
        self._monitor = StreamMonitor(self.decoder.event, flight)
        self._binner = Binner(
            self.decoder.row,
            session.gap_policy,
            session.max_gap_s,
            session.max_age_s,
            self.decoder,
            self._monitor.disturbance,
        )
        self._last_sent = -math.inf
        self._stream: VisibleStream | None = None
        self._listing = listing
        self._prepared: tuple[str, SampleInlet | None] = ("", None)
        self._elsewhere: StreamSearch | None = None
        self._moved_to: pylsl.StreamInfo | None = None
        self.stop = False

    def run(self) -> None:
        """Search and decode until stopped.

        Raises
        ------
        BmiError
            If the stream is not found in time, or is not what the session expects.
        """
        lost_uid, refused = "", set[str]()
        timeout = self._settings.session.stream.search_timeout_s
        while not self.stop:
            info = self._search(timeout, lost_uid, refused)
            if info is None:
                return
            # A stream that was there once is waited for without limit: the rig may be rebooting.
            timeout, lost_uid = None, info.uid()
            try:
                self._decode_stream(info)
            except StreamLostError as error:
                self._monitor.lost(local_clock(), str(error), stream=info.name())
            except StreamMismatchError as error:
                if not self._connected_before:
                    raise
                refused.add(info.uid())
                self._refuse(str(error))

    @property
    def _connected_before(self) -> bool:
        return not math.isnan(self._monitor.arrived)

    def _refuse(self, reason: str) -> None:
        """Say so, and go on looking: what was there before may come back."""
        self._flight.set_state(WorkerState.searching, self._flight.revision, f"refused: {reason}")
        self._monitor.mismatch(local_clock(), reason)

    def _search(self, timeout_s: float | None, lost_uid: str, refused: set[str]) -> pylsl.StreamInfo | None:
        if self._moved_to is not None:
            info, self._moved_to = self._moved_to, None
            return info
        self._monitor.searching(local_clock())
        with contextlib.closing(StreamSearch(self._settings.session.stream, self._stream, self._listing)) as search:
            # The next search begins when it is needed, with what is there then.
            self._listing = None
            return self._found(search, timeout_s, lost_uid, refused)

    def _found(
        self, search: StreamSearch, timeout_s: float | None, lost_uid: str, refused: set[str]
    ) -> pylsl.StreamInfo | None:
        started, told, why_not = time.monotonic(), -math.inf, ""
        while not self.stop:
            waited = time.monotonic() - started
            # One that is still there after that is alive, and only the connection was lost.
            ignored = refused | {lost_uid} if waited < _FORGET_S else refused
            try:
                info = search.poll(ignored)
            except StreamMismatchError as error:
                if not self._connected_before:
                    raise
                info, told = None, waited
                if str(error) != why_not:
                    why_not = str(error)
                    self._refuse(why_not)
            if info is not None:
                return info
            if timeout_s is not None and waited > timeout_s and not search.settling:
                raise BmiError(f"searched for {timeout_s:g} s: {search.report()}")
            if waited - told >= 1:
                told = waited
                message = f"searching for {waited:.0f} s: {search.report()}"
                self._flight.set_state(WorkerState.searching, self._flight.revision, message)
            if search.candidate is not None and search.candidate.uid() != self._prepared[0]:
                self._prepare(search.candidate)
            self._rest()
            time.sleep(_SETTLING_POLL_S if search.settling else _POLL_S)
        return None

    def _prepare(self, info: pylsl.StreamInfo) -> None:
        """Connect to a stream that is going to be taken, in the second in which others may still answer."""
        inlet = None
        with contextlib.suppress(StreamLostError):
            inlet = SampleInlet(info)
            inlet.synchronise()
        self._prepared = info.uid(), inlet

    def _connect(self, info: pylsl.StreamInfo) -> SampleInlet:
        (uid, inlet), self._prepared = self._prepared, ("", None)
        return inlet if inlet is not None and uid == info.uid() else SampleInlet(info)

    def _decode_stream(self, info: pylsl.StreamInfo) -> None:
        self._stream = stream = describe(info)
        inlet = self._connect(info)
        try:
            description = read_description(inlet.full_info)
            # A swap changes neither.
            pipeline = self.decoder.lane.pipeline
            layout = check_stream(stream, description, pipeline.n_channels, pipeline.bin_s)
            inlet.open(self._binner.connect(layout))
            wanted = self._settings.session.realtime
            punctual = PunctualInlet(
                inlet, layout.sample_s, self._rehearse if wanted.rehearse else None, wanted.busy_poll
            )
            self._flight.set_state(WorkerState.running, self._flight.revision)
            self._monitor.connected(local_clock(), layout.sample_s, **asdict(stream))
            self._hot_loop(punctual, info.uid())
        finally:
            self._stop_listening()
            inlet.close()

    def _hot_loop(self, inlet: PunctualInlet, uid: str) -> None:
        decoder, binner, monitor = self.decoder, self._binner, self._monitor
        # Nothing in the loop makes reference cycles, and a collection would cost a deadline.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while not self.stop:
                stamp = inlet.pull(_POLL_S)
                if stamp is None:
                    self._rest()
                    self._listen_for_others(uid, monitor.silence(local_clock()))
                    continue
                decoder.t_pulled = self._last_sent = monitor.arrived = local_clock()
                binner.add(stamp)
                monitor.sample(stamp)
                if self._elsewhere is not None:
                    self._stop_listening()
                self._flight.count(
                    binner.bins_in,
                    decoder.sequence,
                    binner.bins_lost,
                    binner.bins_duplicated,
                    decoder.bins_invalid,
                    decoder.last_bin_at,
                )
        finally:
            gc.enable()
            gc.unfreeze()

    def _listen_for_others(self, uid: str, lost: bool) -> None:
        """Whether a stream that has gone silent is back under another connection, which this one would never know."""
        if not lost:
            return
        if self._elsewhere is None:
            self._elsewhere = StreamSearch(self._settings.session.stream, self._stream)
        try:
            self._moved_to = self._elsewhere.poll({uid})
        except StreamMismatchError:
            return  # judged, and said, if this connection ends as well
        if self._moved_to is not None:
            raise StreamLostError("it has gone silent, and is there again under another connection")

    def _stop_listening(self) -> None:
        if self._elsewhere is not None:
            self._elsewhere.close()
            self._elsewhere = None

    def _rehearse(self) -> bool:
        if not self._binner.next_completes_bin:
            return False
        self._binner.rehearse()
        self.decoder.rehearse()
        return True

    def _rest(self) -> None:
        """What is done while no bin comes."""
        self.decoder.take_requests()
        now = local_clock()
        if now - self._last_sent >= self._settings.heartbeat_s:
            self._publisher.send(wire.pack_heartbeat(now, self.decoder.sequence, self.decoder.lane.revision))
            self._last_sent = now
