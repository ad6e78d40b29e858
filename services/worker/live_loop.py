"""Turns samples into estimates: regular ones in compiled code, the others in Python."""

from __future__ import annotations

import ctypes
from typing import Protocol

import zmq

from bmi_decoder.config import RealtimeSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.machine.live.fields import REHEARSAL_WEIGHT, LiveFields, Outcome
from bmi_decoder.machine.native import run_live
from services.ingest.binner import Binner
from services.ingest.monitor import StreamMonitor
from services.worker.decode import BinDecoder, local_clock
from services.worker.flight.writer import FlightWriter
from services.worker.outlets import push_failed

_SAMPLE, _REHEARSE, _NOT_FINITE = int(Outcome.SAMPLE), int(Outcome.REHEARSE), int(Outcome.NOT_FINITE)
_WINDOW, _LOOK = int(Outcome.WINDOW), int(Outcome.LOOK)
_PULL_FAILED = int(Outcome.PULL_FAILED)
_SEND_FAILED, _PUSH_FAILED = int(Outcome.SEND_FAILED), int(Outcome.PUSH_FAILED)


class Source(Protocol):
    """Where samples come from; `SampleInlet` is one."""

    def lend(self, fields: LiveFields) -> None:
        """Name the function that pulls a sample, and what it is called with."""

    def check(self, error: int) -> None:
        """Raise what an error code of that function stands for."""


class Sink(Protocol):
    """Where estimates go; `Publisher` is one."""

    def lend(self, fields: LiveFields) -> None:
        """Name the function that sends a message, and what it is called with."""


class LiveLoop:
    """Pulls from one inlet, and decodes.

    Everything that takes part is lent to the compiled loop, which waits, decodes and publishes without the
    interpreter as long as samples are regular, and is taken back when it returns. What is not regular is done here, by
    the same objects in Python: a sample that a gap precedes, that is not finite or out of its place, a bin of which
    not all has come, the bins of a swap, and a decoder that is no program.

    Parameters
    ----------
    source : Source
    binner : Binner
        Connected to the stream.
    decoder : BinDecoder
    monitor : StreamMonitor
    flight : FlightWriter
    sink : Sink
    wanted : RealtimeSettings
    """

    def __init__(
        self,
        source: Source,
        binner: Binner,
        decoder: BinDecoder,
        monitor: StreamMonitor,
        flight: FlightWriter,
        sink: Sink,
        wanted: RealtimeSettings,
    ) -> None:
        self._source, self._binner, self._decoder, self._monitor = source, binner, decoder, monitor
        self._flight = flight
        fields = self._fields = decoder.fields
        self._address = ctypes.addressof(fields)
        source.lend(fields)
        sink.lend(fields)
        fields.rehearses, fields.busy_polls = wanted.rehearse, wanted.busy_poll
        fields.due = fields.took = 0.0
        fields.prepared = 0

    def run(self, slice_s: float, timeout_s: float) -> None:
        """Decode what comes, for a slice of time or until something else has to be done.

        Parameters
        ----------
        slice_s : float
        timeout_s : float
            The longest time without a sample.

        Raises
        ------
        StreamLostError
        BmiError
            If an estimate cannot be sent.
        """
        fields, binner, decoder, monitor = self._fields, self._binner, self._decoder, self._monitor
        binner.lend(fields)
        monitor.lend(fields)
        fields.decodes = binner.is_regular and decoder.lend()
        fields.slice_s, fields.timeout_s, fields.taken = slice_s, timeout_s, 0
        outcome = run_live(self._address)
        monitor.take_back(fields)
        decoder.t_pulled = fields.arrived
        if fields.decodes:
            binner.take_back(fields)
            decoder.take_back()
        if not outcome:
            return
        if outcome & _PULL_FAILED:
            self._source.check(ctypes.c_int(fields.error).value)
        if outcome & _SEND_FAILED:
            raise BmiError(f"an estimate could not be sent: {zmq.strerror(zmq.zmq_errno())}")
        if outcome & _PUSH_FAILED:
            raise push_failed(ctypes.c_int(fields.error).value)
        if outcome & _REHEARSE:
            self._rehearse()
        if outcome & _SAMPLE:
            binner.add(fields.stamp)
        if outcome & _NOT_FINITE:
            decoder.start_over(fields.last_end, fields.next_bin - 1)
        if outcome & _WINDOW:
            decoder.end_window()
        if outcome & (_SAMPLE | _LOOK):
            monitor.sample(fields.stamp)
        self._flight.count(
            binner.bins_in,
            decoder.sequence,
            binner.bins_lost,
            binner.bins_duplicated,
            decoder.bins_invalid,
            decoder.last_bin_at,
        )

    def _rehearse(self) -> None:
        began = local_clock()
        self._binner.rehearse()
        self._decoder.rehearse()
        self._fields.took += REHEARSAL_WEIGHT * (local_clock() - began - self._fields.took)
