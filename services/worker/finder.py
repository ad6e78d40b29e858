"""Finds a session's stream, the first time and again."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable

import pylsl

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import BmiError, StreamMismatchError
from services.ingest.inlet import SampleInlet, StreamLostError
from services.ingest.listing import Listing
from services.ingest.lsl import VisibleStream
from services.ingest.monitor import StreamMonitor
from services.ingest.search import StreamSearch
from services.worker.decode import local_clock
from services.worker.flight.layout import WorkerState
from services.worker.flight.writer import FlightWriter

_FORGET_S = 1.0
"""How long an outlet that was just lost is not taken back: it may be on its way out and still be listed."""

_SETTLING_POLL_S = 0.005
_POLL_S = 0.05


class StreamFinder:
    """Knows which stream is meant, which was lost, and which have been refused.

    Parameters
    ----------
    wanted : StreamSettings
    monitor : StreamMonitor
        Told what is found out.
    flight : FlightWriter
        Shows what the search sees.
    rest : callable
        Called again and again while nothing is there; True ends the search.
    listing : Listing, optional
        Of streams, begun before.

    Attributes
    ----------
    last : VisibleStream or None
        What was decoded last: it comes first when it is back.
    """

    def __init__(
        self,
        wanted: StreamSettings,
        monitor: StreamMonitor,
        flight: FlightWriter,
        rest: Callable[[], bool],
        listing: Listing | None,
    ) -> None:
        self._wanted, self._monitor, self._flight, self._rest, self._listing = wanted, monitor, flight, rest, listing
        self._timeout_s = wanted.search_timeout_s
        self._lost, self._refused, self._why_not = "", set[str](), ""
        self._elsewhere: StreamSearch | None = None
        self._moved_to: pylsl.StreamInfo | None = None
        self._prepared: tuple[str, SampleInlet | None] = ("", None)
        self.last: VisibleStream | None = None

    def find(self) -> pylsl.StreamInfo | None:
        """The stream, or None if `rest` ended the search.

        Raises
        ------
        BmiError
            If it is not found in time, or is not what the session expects. Neither ends the search for a stream that
            was there once: the rig may be rebooting.
        """
        info, self._moved_to = self._moved_to, None
        if info is None:
            self._monitor.searching(local_clock())
            with contextlib.closing(StreamSearch(self._wanted, self.last, self._listing)) as search:
                # The next search begins when it is needed, with what is there then.
                self._listing = None
                info = self._found(search)
        if info is not None:
            self._timeout_s, self._lost, self._why_not = None, info.uid(), ""
        return info

    def connect(self, info: pylsl.StreamInfo) -> SampleInlet:
        """An inlet to a stream that was found."""
        (uid, inlet), self._prepared = self._prepared, ("", None)
        return inlet if inlet is not None and uid == info.uid() else SampleInlet(info)

    def refuse(self, info: pylsl.StreamInfo, error: StreamMismatchError) -> None:
        """Look for another stream than this; at the first connection the error ends the session."""
        self._refused.add(info.uid())
        self._say_refused(error)

    def listen(self) -> None:
        """Look whether a stream that has gone silent is back under another connection, which the old would not tell.

        Raises
        ------
        StreamLostError
            If it is; `find` returns it next.
        """
        if self._elsewhere is None:
            self._elsewhere = StreamSearch(self._wanted, self.last)
        try:
            self._moved_to = self._elsewhere.moved(self._lost, self._refused)
        except StreamMismatchError:
            return  # judged, and said, if this connection ends as well
        if self._moved_to is not None:
            raise StreamLostError("it has gone silent, and is there again under another connection")

    def stop_listening(self) -> None:
        """End what `listen` began, if it did."""
        if self._elsewhere is not None:
            self._elsewhere.close()
            self._elsewhere = None

    def _found(self, search: StreamSearch) -> pylsl.StreamInfo | None:
        started, told = time.monotonic(), -math.inf
        while True:
            waited = time.monotonic() - started
            info = None
            try:
                # One that is still there after that is alive, and only the connection was lost.
                info = search.poll(self._refused | {self._lost} if waited < _FORGET_S else self._refused)
                answered = waited > _FORGET_S and not search.settling
                if self._why_not and info is None and answered and not search.sees(self._refused):
                    self._why_not = ""  # what was refused has gone as well
            except StreamMismatchError as error:
                if str(error) != self._why_not:
                    self._say_refused(error)
            if info is not None:
                return info
            if self._timeout_s is not None and waited > self._timeout_s and not search.settling:
                raise BmiError(f"searched for {self._timeout_s:g} s: {search.report()}")
            if waited - told >= 1:
                told = waited
                found = f"refused, {self._why_not}" if self._why_not else search.report()
                message = f"searching for {waited:.0f} s: {found}"
                self._flight.set_state(WorkerState.searching, self._flight.revision, message)
            if search.candidate is not None and search.candidate.uid() != self._prepared[0]:
                self._prepare(search.candidate)
            if self._rest():
                return None
            time.sleep(_SETTLING_POLL_S if search.settling else _POLL_S)

    def _say_refused(self, error: StreamMismatchError) -> None:
        if math.isnan(self._monitor.arrived):
            raise error
        self._why_not = str(error)
        self._flight.set_state(WorkerState.searching, self._flight.revision, f"refused, {error}")
        self._monitor.mismatch(local_clock(), str(error))

    def _prepare(self, info: pylsl.StreamInfo) -> None:
        """Connect to a stream that is going to be taken, in the second in which others may still answer."""
        inlet = None
        with contextlib.suppress(StreamLostError):
            inlet = SampleInlet(info)
            inlet.synchronise()
        self._prepared = info.uid(), inlet
