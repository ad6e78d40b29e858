"""The worker's side of the flight recorder."""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bmi_decoder.clock import lsl_clock
from bmi_decoder.errors import BmiError
from bmi_decoder.machine.live.fields import LiveFields
from bmi_decoder.rest_models import RealtimeGrant
from bmi_decoder.stream_health import STREAM_STATES, StreamState
from services.worker.flight import layout
from services.worker.flight.layout import (
    HEADER_SIZE,
    LAST_BIN_WORD,
    RECORD,
    RECORDED_S,
    STATE_WORD,
    WRITTEN_WORD,
    WorkerState,
    record_dtype,
)


class FlightWriter:
    """The worker's side. Once constructed, nothing here allocates memory, or room on the disk.

    Parameters
    ----------
    path : Path
        Created anew; an old file stays with whoever has it mapped.
    bin_s : float
        Decides how many records a minute has.
    n_values : int
        Outputs per record, all variants.
    revision : int
    n_channels : int
        Whose state is shown.

    Raises
    ------
    BmiError
        If the file cannot be written, or the disk is too full for it.
    """

    def __init__(self, path: Path, bin_s: float, n_values: int, revision: int, n_channels: int = 0) -> None:
        self.n_values = n_values
        self._n_records = max(64, math.ceil(RECORDED_S / bin_s))
        self._record_size = record_dtype(n_values).itemsize
        self._outputs = struct.Struct(f"<{n_values}f")
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with open(temporary, "w+b") as file:
                # Written and not only made as long: what is not on the disk would be asked for in the middle of a bin.
                self._channels_at = HEADER_SIZE + self._n_records * self._record_size
                file.write(bytes(self._channels_at + n_channels))
                file.flush()
                self._map = mmap.mmap(file.fileno(), 0)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise BmiError(f"cannot write the flight recorder {path}: {error.strerror}") from None
        start = np.frombuffer(self._map, np.uint8).ctypes.data
        self._records_at, self._counters_at = start + HEADER_SIZE, start + layout.COUNTERS_AT
        pages = range(0, len(self._map), mmap.PAGESIZE)
        self._map[:: mmap.PAGESIZE] = bytes(len(pages))
        # What others read at any moment is stored word by word, and so never half: struct writes zeros first.
        self._words = memoryview(self._map)[:HEADER_SIZE].cast("Q")
        self._times = memoryview(self._map)[:HEADER_SIZE].cast("d")
        self._words[layout.N_CHANNELS_AT // 8] = n_channels
        self._written = 0
        self.set_state(WorkerState.starting, revision)
        self.set_inlet(math.nan, 0)
        self.count(0, 0, 0, 0, 0, math.nan)
        self.set_stream("searching", lsl_clock(), math.nan, (0, 0, 0, 0, 0))
        layout.FIXED.pack_into(self._map, 0, layout.MAGIC, HEADER_SIZE, self._record_size, self._n_records, os.getpid())
        os.replace(temporary, path)

    def set_state(self, state: WorkerState, revision: int, message: str = "") -> None:
        """Publish a state and the reason for it."""
        self.set_message(message)
        self._words[STATE_WORD] = state | revision << 32

    def set_message(self, message: str) -> None:
        """Publish what people must know, in the same state."""
        self._text(layout.MESSAGE_AT, layout.MESSAGE_SIZE, message)

    def set_revision(self, revision: int) -> None:
        """Publish another revision, in the same state: one word, for the hot thread."""
        self._words[STATE_WORD] = self._words[STATE_WORD] & 0xFFFFFFFF | revision << 32

    @property
    def revision(self) -> int:
        """The revision that others read."""
        return self._words[STATE_WORD] >> 32

    def set_endpoint(self, endpoint: str, server_key: str = "") -> None:
        """Publish where estimates go, and the key that subscribers must know."""
        self._text(layout.SERVER_KEY_AT, layout.SERVER_KEY_SIZE, server_key)
        self._text(layout.ENDPOINT_AT, layout.ENDPOINT_SIZE, endpoint)

    def set_inlet(self, clock_offset_s: float, samples_waiting: int) -> None:
        """Publish what was seen at the inlet; NaN and 0 while there is none. From any thread."""
        self._times[layout.INLET_AT // 8] = clock_offset_s
        self._words[layout.INLET_AT // 8 + 1] = samples_waiting

    def set_realtime(self, grants: Sequence[RealtimeGrant]) -> None:
        """Publish what was asked of the operating system, and what it granted."""
        self._text(layout.REALTIME_AT, layout.REALTIME_SIZE, json.dumps([grant.model_dump() for grant in grants]))

    def set_stream(
        self, state: StreamState, since: float, lag_s: float, counts: tuple[int, int, int, int, int]
    ) -> None:
        """Publish how the stream is, as `StreamMonitor` says it."""
        gaps, lates, losses, jumps, mismatches = counts
        at = layout.STREAM_AT // 8
        self._words[at] = STREAM_STATES.index(state) | gaps << 32
        self._words[at + 1] = lates | losses << 32
        self._words[at + 2] = jumps | mismatches << 32
        self._times[at + 3], self._times[at + 4] = since, lag_s

    def set_channels(self, states: npt.NDArray[np.uint8]) -> None:
        """Publish how the channels are, as `ChannelMonitor` says it."""
        self._map[self._channels_at : self._channels_at + len(states)] = states.tobytes()

    def record(
        self,
        sequence: int,
        bin_index: int,
        t_source: float,
        t_pulled: float,
        t_decoded: float,
        t_publish: float,
        t_sent: float,
        flags: int,
        revision: int,
        outputs: Sequence[float],
    ) -> None:
        """Store one bin. Its number follows at once: a reader must know of every record that was overwritten."""
        at = HEADER_SIZE + self._written % self._n_records * self._record_size
        RECORD.pack_into(
            self._map, at, sequence, bin_index, t_source, t_pulled, t_decoded, t_publish, t_sent, flags, revision
        )
        self._outputs.pack_into(self._map, at + RECORD.size, *outputs)
        self._written += 1
        self._words[WRITTEN_WORD] = self._written

    def lend(self, fields: LiveFields) -> None:
        """Let the live loop record bins, and count them."""
        fields.records, fields.counters = self._records_at, self._counters_at
        fields.record_size, fields.n_records, fields.n_values = self._record_size, self._n_records, self.n_values
        fields.written = self._written

    def take_back(self, fields: LiveFields) -> None:
        """Go on where the live loop is."""
        self._written = fields.written

    def rehearse(self, outputs: Sequence[float]) -> None:
        """Write where the next record will stand, which readers take for half written at any time."""
        at = HEADER_SIZE + self._written % self._n_records * self._record_size
        RECORD.pack_into(self._map, at, self._written, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
        self._outputs.pack_into(self._map, at + RECORD.size, *outputs)

    def count(self, bins_in: int, decoded: int, lost: int, duplicated: int, invalid: int, last_bin_at: float) -> None:
        """Publish the counters."""
        words, at = self._words, WRITTEN_WORD
        words[at + 1], words[at + 2], words[at + 3] = bins_in, decoded, lost
        words[at + 4], words[at + 5] = duplicated, invalid
        self._times[LAST_BIN_WORD] = last_bin_at

    def close(self) -> None:
        """Unmap; the file stays."""
        self._words.release()
        self._times.release()
        self._map.close()

    def _text(self, at: int, size: int, text: str) -> None:
        data = text.encode()[: size - 1]
        self._map[at : at + size] = data.ljust(size, b"\0")
