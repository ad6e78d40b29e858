"""One LSL stream on its way into the file: raw stamps, raw values, and the clock offsets beside them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator

import numpy as np
import pylsl
from pylsl.lib import fmt2string
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from bmi_decoder.formats.xdf_encode import clock_offset, samples, texts
from services.ingest.inlet import CONNECT_TIMEOUT_S
from services.ingest.lsl import VisibleStream, describe
from services.ingest.search import StreamSearch
from services.recorder.intake import Chunk, Intake, Track
from services.recorder.log import EventTrack

CHUNK_S = 0.2
"""How long samples are collected before they are written: what a crash of the recorder can cost."""

_OFFSET_EVERY_S = 5.0
_BUFFER_S = 60
_FORGET_S = 1.0
_POLL_S = 0.1
_FIRST_S = 0.02


class LslSource(threading.Thread):
    """Receives one stream as long as the recorder lives; one that vanishes is searched for and taken up again.

    Nothing is done to stamps: clocks are brought together by whoever reads the file, from the offsets that stand
    in it. A stream that comes back with the same layout goes on under its id; a different one becomes a new stream.

    Parameters
    ----------
    wanted : StreamSettings
    intake : Intake
    log : EventTrack
        Gets `found`, `lost` and `ambiguous`.

    Attributes
    ----------
    connected : bool
    receiving : bool
        Whether samples have come since it was connected: liblsl is connected before the outlet knows of it.
    """

    def __init__(self, wanted: StreamSettings, intake: Intake, log: EventTrack) -> None:
        super().__init__(name=f"lsl {wanted.name}", daemon=True)
        self.wanted, self._intake, self._log = wanted, intake, log
        self._tracks: dict[tuple[int, str, float], Track] = {}
        self._last: VisibleStream | None = None
        self.connected = self.receiving = False
        self.stop = False

    def run(self) -> None:
        """Search and receive until stopped."""
        lost_uid = ""
        while not self.stop:
            info = self._find(lost_uid)
            if info is None:
                return
            lost_uid, self._last = info.uid(), describe(info)
            try:
                self._receive(info)
            except (LostError, LslTimeoutError) as error:
                self._log.put({"event": "lost", "stream": info.name(), "reason": str(error)})
            finally:
                self.connected = self.receiving = False

    def _find(self, lost_uid: str) -> pylsl.StreamInfo | None:
        search, began, told = StreamSearch(self.wanted, self._last), time.monotonic(), ""
        while not self.stop:
            try:
                info = search.poll({lost_uid} if time.monotonic() - began < _FORGET_S else frozenset())
            except StreamMismatchError as error:
                info = None
                if str(error) != told:
                    told = str(error)
                    self._log.put({"event": "ambiguous", "stream": self.wanted.name, "reason": told})
            if info is not None:
                return info
            time.sleep(_POLL_S)
        return None

    def _receive(self, info: pylsl.StreamInfo) -> None:
        inlet = pylsl.StreamInlet(info, max_buflen=_BUFFER_S, recover=False, processing_flags=0)
        try:
            full = inlet.info(CONNECT_TIMEOUT_S)
            inlet.open_stream(CONNECT_TIMEOUT_S)
            track = self._track(full)
            form, rate_hz = fmt2string[full.channel_format()], full.nominal_srate()
            self._log.put({"event": "found", "stream": full.name(), "id": track.number, "hostname": full.hostname()})
            self.connected = True
            most = max(32, math.ceil(4 * CHUNK_S * rate_hz)) if rate_hz > 0 else 1024
            offset_at = -math.inf
            while not self.stop:
                if time.monotonic() - offset_at >= _OFFSET_EVERY_S and self._measure(inlet, track):
                    offset_at = time.monotonic()
                time.sleep(CHUNK_S if self.receiving else _FIRST_S)
                for values, stamps in _received(inlet, most):
                    self._put(track, form, values, stamps)
                    self.receiving = True
        finally:
            # The inlet object itself is left to the garbage collector (liblsl issue 220).
            inlet.close_stream()

    def _track(self, full: pylsl.StreamInfo) -> Track:
        layout = (full.channel_count(), fmt2string[full.channel_format()], full.nominal_srate())
        if layout not in self._tracks:
            xml = full.as_xml().encode()
            self._tracks[layout] = self._intake.track(full.name(), full.type(), xml)
        return self._tracks[layout]

    def _measure(self, inlet: pylsl.StreamInlet, track: Track) -> bool:
        """Write down the newest clock offset; False while liblsl has none yet, for which no sample waits."""
        try:
            offset = inlet.time_correction(0.0)
        except LslTimeoutError:
            return False
        now = pylsl.local_clock()
        measured = (now - offset, offset)
        self._intake.put(Chunk(track, clock_offset(track.number, *measured), now, offset=measured))
        return True

    def _put(self, track: Track, form: str, values: np.ndarray, stamps: np.ndarray) -> None:
        if form == "string":
            rows = [[text.decode(errors="replace") for text in row] for row in values]
            content = texts(track.number, stamps.tolist(), rows)
        else:
            content = samples(track.number, form, stamps, values)
        now = pylsl.local_clock()
        self._intake.put(Chunk(track, content, now, len(stamps), float(stamps[0]), float(stamps[-1])))


def _received(inlet: pylsl.StreamInlet, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What has come.

    Never more is asked for than is there: liblsl drops what a call has taken already when it then finds that the
    stream is lost.
    """
    values, stamps = inlet.pull_chunk(0.0, 1, as_numpy=True)
    if not len(stamps):
        return
    yield values, stamps
    while available := inlet.samples_available():
        yield inlet.pull_chunk(0.0, min(available, most), as_numpy=True)
