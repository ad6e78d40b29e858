"""Takes in all samples of one live stream, through losses of its outlet."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from bmi_decoder.formats.xdf_streams import XdfStream
from services.ingest.found import FoundStream
from services.ingest.inlet import CONNECT_TIMEOUT_S
from services.ingest.lsl import describe
from services.ingest.search import StreamSearch

_BUFFER_S = 60
_FORMATS_IN_64_BITS = ("double64", "int32", "int64")


class StreamIntake:
    """Samples of one stream, with their stamps on the local clock.

    A stream that vanishes is searched for, and taken up again if it comes back as it was.

    Parameters
    ----------
    found : FoundStream
    wanted : StreamSettings
    seconds : float
        For how long samples are expected, on the local clock.
    """

    def __init__(self, found: FoundStream, wanted: StreamSettings, seconds: float) -> None:
        self._found, self._wanted = found, wanted
        self._inlet: pylsl.StreamInlet | None = None
        self._search: StreamSearch | None = None
        self._lost_uid = ""
        capacity = 64 + math.ceil(seconds * found.visible.rate_hz * 1.05)
        self._times = np.empty(capacity)
        wide = found.visible.channel_format in _FORMATS_IN_64_BITS
        self._values = np.empty((capacity, found.visible.n_channels), np.float64 if wide else np.float32)
        self._resets: list[int] = []
        self.n = 0

    @property
    def name(self) -> str:
        """Of the stream."""
        return self._wanted.name

    @property
    def first(self) -> float:
        """Stamp of the first sample; infinite if there is none."""
        return float(self._times[0]) if self.n else math.inf

    @property
    def last(self) -> float:
        """Stamp of the newest sample; minus infinity if there is none."""
        return float(self._times[self.n - 1]) if self.n else -math.inf

    @property
    def connected(self) -> bool:
        """Whether there is an outlet."""
        return self._inlet is not None

    def open(self) -> None:
        """Connect for the first time.

        Raises
        ------
        StreamMismatchError
            If the outlet is gone.
        """
        if not self._connect(self._found.info):
            raise StreamMismatchError(f"stream {self._wanted.name!r} has gone away; is its rig alive?")

    def take(self) -> None:
        """Take in what has come.

        Raises
        ------
        StreamMismatchError
            If the stream has come back as another one.
        """
        if self._inlet is None:
            self._look()
            return
        try:
            # Never more is asked for than is there: liblsl drops what a call has taken already when it then finds
            # that the stream is lost. The first call is the one that finds it.
            waiting = 1
            while waiting:
                values, stamps = self._inlet.pull_chunk(0.0, waiting, as_numpy=True)
                self._put(values, stamps)
                waiting = self._inlet.samples_available() if len(stamps) else 0
        except LostError:
            self.close()
            self._lost_uid = self._uid

    def stream(self, until: float = math.inf) -> XdfStream:
        """What has come up to a stamp."""
        visible, n = self._found.visible, self.n
        times = self._times[:n]
        kept = times <= until
        n = n if kept.all() else int(np.argmin(kept))
        return XdfStream(
            name=visible.name,
            type=visible.type,
            format=visible.channel_format,
            n_channels=visible.n_channels,
            rate_hz=visible.rate_hz,
            labels=self._found.labels,
            units=self._found.units,
            times=times[:n],
            values=self._values[:n],
            resets=tuple(at for at in self._resets if at < n),
            speed=self._found.description.speed,
        )

    def close(self) -> None:
        """Disconnect."""
        if self._inlet is not None:
            self._inlet.close_stream()
            self._inlet = None

    def _look(self) -> None:
        if self._search is None:
            self._search = StreamSearch(self._wanted, self._found.visible)
        info = self._search.poll({self._lost_uid})
        if info is not None:
            self._search = None
            self._resets.append(self.n)
            self._connect(info)

    def _connect(self, info: pylsl.StreamInfo) -> bool:
        inlet = pylsl.StreamInlet(info, max_buflen=_BUFFER_S, recover=False, processing_flags=pylsl.proc_clocksync)
        try:
            came = describe(inlet.info(CONNECT_TIMEOUT_S))
            inlet.time_correction(CONNECT_TIMEOUT_S)
            inlet.open_stream(CONNECT_TIMEOUT_S)
        except (LslTimeoutError, LostError):
            self._lost_uid = info.uid()
            return False
        first = self._found.visible
        if (came.n_channels, came.rate_hz, came.channel_format) != (
            first.n_channels, first.rate_hz, first.channel_format,
        ):  # fmt: skip
            raise StreamMismatchError(f"stream {first} has come back as {came}: calibrate again")
        self._inlet, self._uid = inlet, info.uid()
        return True

    def _put(self, values: npt.NDArray[np.generic], stamps: npt.NDArray[np.float64]) -> None:
        end = min(len(self._times), self.n + len(stamps))
        self._times[self.n : end] = stamps[: end - self.n]
        self._values[self.n : end] = values[: end - self.n]
        self.n = end
