"""The flight recorder: what a worker did in every recent bin, in memory that outlives and outreaches it.

One file, mapped by the worker and by anyone who wants to know: a header with state and counters, then a ring of
fixed-size records, one per bin. The worker alone writes; it stores a record first and their number after, so a
reader that copies the ring and then reads the number again knows which records it can trust.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.rest_models import RealtimeGrant
from bmi_decoder.stream_health import STREAM_STATES, ChannelHealth, StreamHealth, StreamState
from bmi_decoder.wire import Flag
from services.ingest.channels import channels

MAGIC = b"BMIFLT01"
HEADER_SIZE = 4096
RECORDED_S = 60.0

_FIXED = struct.Struct("<8sIIII")  # magic, header size, record size, records, process
_STATE = struct.Struct("<II")  # state, revision
_COUNTERS = struct.Struct("<QQQQQQd")  # written, in, decoded, lost, duplicated, invalid, time of the last bin
_STATE_AT, _COUNTERS_AT, _ENDPOINT_AT, _SERVER_KEY_AT, _MESSAGE_AT, _REALTIME_AT = 24, 32, 128, 320, 384, 2432
_INLET_AT = 88
_STATE_WORD, _WRITTEN_WORD, _LAST_BIN_WORD = _STATE_AT // 8, _COUNTERS_AT // 8, _COUNTERS_AT // 8 + 6
_ENDPOINT_SIZE, _SERVER_KEY_SIZE, _MESSAGE_SIZE, _REALTIME_SIZE = 192, 64, 2048, 1536
_INLET = struct.Struct("<dQ")  # clock offset, samples waiting
_STREAM = struct.Struct("<IIIIIIdd")  # state, gaps, lates, losses, clock jumps, mismatches, since, lag
_STREAM_AT, _N_CHANNELS_AT = 3968, 4008
_RECORD = struct.Struct("<QqdddddII")


class WorkerState(IntEnum):
    """What a worker is doing."""

    starting = 0
    searching = 1
    running = 2
    stopped = 3
    failed = 4


@dataclass(frozen=True)
class WorkerStatus:
    """A worker's state and counters.

    Attributes
    ----------
    state : str
        Name of a `WorkerState`.
    message : str
        Why it is in that state; empty when all is well.
    endpoint : str
        Where it publishes; empty before it is bound.
    server_key : str
        The CURVE key that subscribers must know; empty where nothing is encrypted.
    bins_in, bins_decoded, bins_lost, bins_duplicated, bins_invalid : int
        Bins received complete; estimates published; bins missing in the stream; samples whose place was already
        taken; bins with input or output that was not finite.
    last_bin_age_s : float or None
        Seconds since the last bin.
    clock_offset_s : float or None
        What takes a stamp of the sender's clock to ours, within the last second; None without a stream.
    samples_waiting : int or None
        Samples that had come and were not pulled then.
    realtime : list of dict
        Each a `RealtimeGrant`.
    stream : StreamHealth
    channels : ChannelHealth
    """

    state: str
    message: str
    endpoint: str
    server_key: str
    pid: int
    revision: int
    bins_in: int
    bins_decoded: int
    bins_lost: int
    bins_duplicated: int
    bins_invalid: int
    last_bin_age_s: float | None
    clock_offset_s: float | None
    samples_waiting: int | None
    realtime: list[dict[str, Any]]
    stream: StreamHealth
    channels: ChannelHealth

    def plain(self) -> dict[str, Any]:
        """All of it as numbers, texts, lists and dictionaries."""
        return asdict(self) | {"stream": self.stream.model_dump(), "channels": self.channels.model_dump()}


def record_dtype(n_values: int) -> np.dtype[np.void]:
    """One record: identity, the times of every stage in seconds of the LSL clock, flags, outputs."""
    return np.dtype(
        [
            ("sequence", "<u8"),
            ("bin_index", "<i8"),
            ("t_source", "<f8"),
            ("t_pulled", "<f8"),
            ("t_decoded", "<f8"),
            ("t_publish", "<f8"),
            ("t_sent", "<f8"),
            ("flags", "<u4"),
            ("revision", "<u4"),
            ("outputs", "<f4", (n_values,)),
        ]
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
        pages = range(0, len(self._map), mmap.PAGESIZE)
        self._map[:: mmap.PAGESIZE] = bytes(len(pages))
        # What others read at any moment is stored word by word, and so never half: struct writes zeros first.
        self._words = memoryview(self._map)[:HEADER_SIZE].cast("Q")
        self._times = memoryview(self._map)[:HEADER_SIZE].cast("d")
        self._words[_N_CHANNELS_AT // 8] = n_channels
        self._written = 0
        self.set_state(WorkerState.starting, revision)
        self.set_inlet(math.nan, 0)
        self.count(0, 0, 0, 0, 0, math.nan)
        self.set_stream("searching", lsl_clock(), math.nan, (0, 0, 0, 0, 0))
        _FIXED.pack_into(self._map, 0, MAGIC, HEADER_SIZE, self._record_size, self._n_records, os.getpid())
        os.replace(temporary, path)

    def set_state(self, state: WorkerState, revision: int, message: str = "") -> None:
        """Publish a state and the reason for it."""
        self._text(_MESSAGE_AT, _MESSAGE_SIZE, message)
        self._words[_STATE_WORD] = state | revision << 32

    def set_revision(self, revision: int) -> None:
        """Publish another revision, in the same state: one word, for the hot thread."""
        self._words[_STATE_WORD] = self._words[_STATE_WORD] & 0xFFFFFFFF | revision << 32

    @property
    def revision(self) -> int:
        """The revision that others read."""
        return self._words[_STATE_WORD] >> 32

    def set_endpoint(self, endpoint: str, server_key: str = "") -> None:
        """Publish where estimates go, and the key that subscribers must know."""
        self._text(_SERVER_KEY_AT, _SERVER_KEY_SIZE, server_key)
        self._text(_ENDPOINT_AT, _ENDPOINT_SIZE, endpoint)

    def set_inlet(self, clock_offset_s: float, samples_waiting: int) -> None:
        """Publish what was seen at the inlet; NaN and 0 while there is none. From any thread."""
        self._times[_INLET_AT // 8] = clock_offset_s
        self._words[_INLET_AT // 8 + 1] = samples_waiting

    def set_realtime(self, grants: Sequence[RealtimeGrant]) -> None:
        """Publish what was asked of the operating system, and what it granted."""
        self._text(_REALTIME_AT, _REALTIME_SIZE, json.dumps([grant.model_dump() for grant in grants]))

    def set_stream(
        self, state: StreamState, since: float, lag_s: float, counts: tuple[int, int, int, int, int]
    ) -> None:
        """Publish how the stream is, as `StreamMonitor` says it."""
        gaps, lates, losses, jumps, mismatches = counts
        at = _STREAM_AT // 8
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
        _RECORD.pack_into(
            self._map, at, sequence, bin_index, t_source, t_pulled, t_decoded, t_publish, t_sent, flags, revision
        )
        self._outputs.pack_into(self._map, at + _RECORD.size, *outputs)
        self._written += 1
        self._words[_WRITTEN_WORD] = self._written

    def rehearse(self, outputs: Sequence[float]) -> None:
        """Write where the next record will stand, which readers take for half written at any time."""
        at = HEADER_SIZE + self._written % self._n_records * self._record_size
        _RECORD.pack_into(self._map, at, self._written, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)
        self._outputs.pack_into(self._map, at + _RECORD.size, *outputs)

    def count(self, bins_in: int, decoded: int, lost: int, duplicated: int, invalid: int, last_bin_at: float) -> None:
        """Publish the counters."""
        words, at = self._words, _WRITTEN_WORD
        words[at + 1], words[at + 2], words[at + 3] = bins_in, decoded, lost
        words[at + 4], words[at + 5] = duplicated, invalid
        self._times[_LAST_BIN_WORD] = last_bin_at

    def close(self) -> None:
        """Unmap; the file stays."""
        self._words.release()
        self._times.release()
        self._map.close()

    def _text(self, at: int, size: int, text: str) -> None:
        data = text.encode()[: size - 1]
        self._map[at : at + size] = data.ljust(size, b"\0")


class FlightReader:
    """Anyone's side.

    Parameters
    ----------
    path : Path
        A flight recorder file, of a living worker or of one that was killed.

    Raises
    ------
    FileNotFoundError
        If there is none yet.
    InputError
        If the file is not a complete flight recorder.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEADER_SIZE)
            magic, header, record, n_records, self.pid = (
                _FIXED.unpack_from(head) if len(head) == HEADER_SIZE else (b"", 0, 0, 0, 0)
            )
            self._channels_at = header + record * n_records
            n_values, rest = divmod(record - _RECORD.size, 4)
            whole = self._channels_at + (int.from_bytes(head[_N_CHANNELS_AT : _N_CHANNELS_AT + 8], "little"))
            if magic != MAGIC or header != HEADER_SIZE or rest or n_values < 0 or size != whole:
                raise InputError(f"{path} is not a complete flight recorder file")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._dtype, self._n_records = record_dtype(n_values), n_records

    def status(self) -> WorkerStatus:
        """State and counters now."""
        state, revision = _STATE.unpack_from(self._map, _STATE_AT)
        _, bins_in, decoded, lost, duplicated, invalid, last_bin_at = _COUNTERS.unpack_from(self._map, _COUNTERS_AT)
        now = lsl_clock()
        offset, waiting = _INLET.unpack_from(self._map, _INLET_AT)
        age = None if math.isnan(last_bin_at) else max(0.0, now - last_bin_at)
        return WorkerStatus(
            state=WorkerState(state).name,
            message=self._text(_MESSAGE_AT, _MESSAGE_SIZE),
            endpoint=self._text(_ENDPOINT_AT, _ENDPOINT_SIZE),
            server_key=self._text(_SERVER_KEY_AT, _SERVER_KEY_SIZE),
            realtime=json.loads(self._text(_REALTIME_AT, _REALTIME_SIZE) or "[]"),
            pid=self.pid,
            revision=revision,
            bins_in=bins_in,
            bins_decoded=decoded,
            bins_lost=lost,
            bins_duplicated=duplicated,
            bins_invalid=invalid,
            clock_offset_s=None if math.isnan(offset) else offset,
            samples_waiting=None if math.isnan(offset) else waiting,
            last_bin_age_s=age,
            stream=self._stream(now),
            channels=ChannelHealth(**channels(np.frombuffer(self._map[self._channels_at :], np.uint8))),
        )

    def _stream(self, now: float) -> StreamHealth:
        code, gaps, lates, losses, jumps, mismatches, since, lag = _STREAM.unpack_from(self._map, _STREAM_AT)
        return StreamHealth(
            state=STREAM_STATES[code],
            for_s=max(0.0, now - since),
            lag_s=None if math.isnan(lag) else lag,
            gaps=gaps,
            lates=lates,
            losses=losses,
            clock_jumps=jumps,
            mismatches=mismatches,
        )

    def revision(self) -> int:
        """What is published now."""
        revision: int = _STATE.unpack_from(self._map, _STATE_AT)[1]
        return revision

    def records(self) -> npt.NDArray[np.void]:
        """The records of the last minute, oldest first."""
        return self.records_since(0)[0]

    def records_since(self, number: int) -> tuple[npt.NDArray[np.void], int]:
        """The records from the `number`-th on that are still there, oldest first, and the number of the next one.

        It costs what is new: for those who look many times a second.
        """
        written = self._written()
        first = max(number, written - self._n_records, 0)
        whole = np.frombuffer(self._map, self._dtype, self._n_records, HEADER_SIZE)
        copy = whole[np.arange(first, written) % self._n_records]
        # Records that were overwritten while the copy was made, and the one that may be half written now.
        safe = max(first, self._written() + 1 - self._n_records)
        return copy[safe - first :], written

    def latency_us(self) -> dict[str, float] | None:
        """Percentiles of ``t_publish - t_source`` over the last minute, filled bins left out; None without data."""
        records = self.records()
        real = (records["flags"] & int(Flag.HELD | Flag.ZEROED)) == 0
        latency = (records["t_publish"] - records["t_source"])[real] * 1e6
        if not latency.size:
            return None
        p50, p99, p999 = np.percentile(latency, (50, 99, 99.9))
        return {"p50": float(p50), "p99": float(p99), "p999": float(p999)}

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    def _written(self) -> int:
        return int(_COUNTERS.unpack_from(self._map, _COUNTERS_AT)[0])

    def _text(self, at: int, size: int) -> str:
        return self._map[at : at + size].split(b"\0", 1)[0].decode(errors="replace")


def lsl_clock() -> float:
    """The LSL clock in seconds, without loading liblsl: on Linux and macOS it is the monotonic clock."""
    return time.monotonic()
