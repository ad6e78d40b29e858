"""Watches streams for some seconds, as a session would receive them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from services.ingest.found import FoundStream
from services.ingest.inlet import CONNECT_TIMEOUT_S, SampleInlet, StreamLostError
from services.ingest.lsl import VisibleStream

_OFFSET_EVERY_S = 0.25
_FIRST_S = 3.0
"""How long the first sample is waited for: many rigs begin when they are heard."""


@dataclass(frozen=True)
class Watched:
    """What came.

    Attributes
    ----------
    stamps : array (n,)
        Corrected to the local LSL clock.
    arrivals : array (n,)
        Local LSL clock.
    offsets_s : array (m,)
        Estimates of the sender's clock offset, each that differed from the one before.
    seconds : float
        How long it was watched from the first sample on.
    problem : str
        Why nothing came, or no more.
    """

    stamps: npt.NDArray[np.float64]
    arrivals: npt.NDArray[np.float64]
    offsets_s: npt.NDArray[np.float64]
    seconds: float
    problem: str = ""


def watched_rate_hz(stream: VisibleStream) -> float:
    """Nominal rate of the samples that are received; 0 where they are irregular or no numbers, and none is."""
    return 0.0 if stream.channel_format in ("string", "undefined") else stream.rate_hz


def watch(streams: Sequence[FoundStream], seconds: float) -> list[Watched]:
    """Watch all of them at once, each in a thread of its own."""
    threads = [_Watch(stream, seconds) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [thread.result() for thread in threads]


class _Watch(threading.Thread):
    def __init__(self, stream: FoundStream, seconds: float) -> None:
        super().__init__(name=f"watch {stream.visible.name}", daemon=True)
        self._stream, self._seconds = stream, seconds
        self._samples: list[tuple[float, float]] = []
        self._offsets: list[float] = []
        self._problem = ""

    def result(self) -> Watched:
        samples = np.array(self._samples, np.float64).reshape(-1, 2)
        span = max(0.0, samples[-1, 1] - samples[0, 1]) if len(samples) else 0.0
        return Watched(samples[:, 0], samples[:, 1], np.array(self._offsets), float(span), self._problem)

    def run(self) -> None:
        try:
            # Estimates of the clock come from an inlet of their own: they wait for answers, and samples do not.
            clock = pylsl.StreamInlet(self._stream.info, max_buflen=1, recover=False)
            self._offsets.append(clock.time_correction(CONNECT_TIMEOUT_S))
            if watched_rate_hz(self._stream.visible):
                self._receive(clock)
            else:
                end = time.monotonic() + self._seconds
                while time.monotonic() < end:
                    time.sleep(_OFFSET_EVERY_S)
                    self._correct(clock)
        except (StreamLostError, LostError, LslTimeoutError) as error:
            self._problem = str(error) or "it went away"

    def _receive(self, clock: pylsl.StreamInlet) -> None:
        inlet, now = SampleInlet(self._stream.info), pylsl.local_clock
        inlet.open(np.empty(self._stream.visible.n_channels, np.float32))
        end, offset_at = now() + _FIRST_S + 1 / self._stream.visible.rate_hz, 0.0
        try:
            while (moment := now()) < end:
                stamp = inlet.pull(min(_OFFSET_EVERY_S, end - moment))
                arrival = now()
                if stamp is not None:
                    if not self._samples:
                        end = arrival + self._seconds
                    self._samples.append((stamp, arrival))
                if arrival > offset_at:
                    offset_at = arrival + _OFFSET_EVERY_S
                    self._correct(clock)
        finally:
            inlet.close()

    def _correct(self, clock: pylsl.StreamInlet) -> None:
        offset = clock.time_correction(CONNECT_TIMEOUT_S)
        if offset != self._offsets[-1]:
            self._offsets.append(offset)
