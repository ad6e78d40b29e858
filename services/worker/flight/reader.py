"""Anyone's side of the flight recorder."""

from __future__ import annotations

import json
import math
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.clock import lsl_clock
from bmi_decoder.errors import InputError
from bmi_decoder.rest_models import RealtimeGrant
from bmi_decoder.stream_health import STREAM_STATES, ChannelHealth, StreamHealth
from bmi_decoder.wire import Flag
from services.ingest.channels import channels
from services.worker.flight import layout
from services.worker.flight.layout import HEADER_SIZE, MAGIC, WorkerState, record_dtype
from services.worker.flight.status import WorkerStatus

_MOST = 1 << 62
_SHOWN = 200
"""Characters of what is wrong with a file."""


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
        self._path = path
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(HEADER_SIZE)
            magic, header, record, n_records, self.pid = (
                layout.FIXED.unpack_from(head) if len(head) == HEADER_SIZE else (b"", 0, 0, 0, 0)
            )
            self._channels_at = header + record * n_records
            n_values, rest = divmod(record - layout.RECORD.size, 4)
            whole = self._channels_at + (
                int.from_bytes(head[layout.N_CHANNELS_AT : layout.N_CHANNELS_AT + 8], "little")
            )
            if magic != MAGIC or header != HEADER_SIZE or rest or n_values < 0 or size != whole:
                raise InputError(f"{path} is not a complete flight recorder file")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._dtype, self._n_records = record_dtype(n_values), n_records

    @classmethod
    def opened(cls, path: Path) -> FlightReader | None:
        """A reader, or None while there is no complete file."""
        try:
            return cls(path)
        except (FileNotFoundError, InputError):
            return None

    def status(self) -> WorkerStatus:
        """State and counters now.

        Raises
        ------
        InputError
            If the file holds what no worker writes.
        """
        try:
            return self._status()
        except (ValueError, TypeError, IndexError, RecursionError) as error:
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise InputError(
                f"{self._path} is damaged: {what[:_SHOWN]}; copy it again, or look into the worker's log"
            ) from None

    def _status(self) -> WorkerStatus:
        state, revision = layout.STATE.unpack_from(self._map, layout.STATE_AT)
        _, bins_in, decoded, lost, duplicated, invalid, last_bin_at = layout.COUNTERS.unpack_from(
            self._map, layout.COUNTERS_AT
        )
        now = lsl_clock()
        offset, waiting = layout.INLET.unpack_from(self._map, layout.INLET_AT)
        age = None if math.isnan(last_bin_at) else max(0.0, now - last_bin_at)
        return WorkerStatus(
            state=WorkerState(state).name,
            message=self._text(layout.MESSAGE_AT, layout.MESSAGE_SIZE),
            endpoint=self._text(layout.ENDPOINT_AT, layout.ENDPOINT_SIZE),
            server_key=self._text(layout.SERVER_KEY_AT, layout.SERVER_KEY_SIZE),
            realtime=[RealtimeGrant.model_validate(grant).model_dump() for grant in self._realtime()],
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

    def _realtime(self) -> Any:
        return json.loads(self._text(layout.REALTIME_AT, layout.REALTIME_SIZE) or "[]")

    def _stream(self, now: float) -> StreamHealth:
        code, gaps, lates, losses, jumps, mismatches, since, lag = layout.STREAM.unpack_from(
            self._map, layout.STREAM_AT
        )
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
        revision: int = layout.STATE.unpack_from(self._map, layout.STATE_AT)[1]
        return revision

    def records(self) -> npt.NDArray[np.void]:
        """The records of the last minute, oldest first."""
        return self.records_since(0)[0]

    def records_since(self, number: int) -> tuple[npt.NDArray[np.void], int]:
        """The records from the `number`-th on that are still there, oldest first, and the number of the next one.

        It costs what is new: for those who look many times a second.

        Raises
        ------
        InputError
            If the file says that it has had more records than there can be.
        """
        written = self._written()
        if written > _MOST:
            raise InputError(f"{self._path} is damaged: it says that it has had {written} records; copy it again")
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
        with np.errstate(over="ignore", invalid="ignore"):
            latency = (records["t_publish"] - records["t_source"])[real] * 1e6
            if not latency.size:
                return None
            p50, p99, p999 = np.percentile(latency, (50, 99, 99.9))
        return {"p50": float(p50), "p99": float(p99), "p999": float(p999)}

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()

    def _written(self) -> int:
        return int(layout.COUNTERS.unpack_from(self._map, layout.COUNTERS_AT)[0])

    def _text(self, at: int, size: int) -> str:
        return self._map[at : at + size].split(b"\0", 1)[0].decode(errors="replace")
