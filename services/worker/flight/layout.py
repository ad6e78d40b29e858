"""Where everything stands in a flight recorder file."""

from __future__ import annotations

import struct
from enum import IntEnum

import numpy as np

MAGIC = b"BMIFLT01"
HEADER_SIZE = 4096
RECORDED_S = 60.0

FIXED = struct.Struct("<8sIIII")  # magic, header size, record size, records, process
STATE = struct.Struct("<II")  # state, revision
COUNTERS = struct.Struct("<QQQQQQd")  # written, in, decoded, lost, duplicated, invalid, time of the last bin
STATE_AT, COUNTERS_AT, ENDPOINT_AT, SERVER_KEY_AT, MESSAGE_AT, REALTIME_AT = 24, 32, 128, 320, 384, 2432
INLET_AT = 88
STATE_WORD, WRITTEN_WORD, LAST_BIN_WORD = STATE_AT // 8, COUNTERS_AT // 8, COUNTERS_AT // 8 + 6
ENDPOINT_SIZE, SERVER_KEY_SIZE, MESSAGE_SIZE, REALTIME_SIZE = 192, 64, 2048, 1536
INLET = struct.Struct("<dQ")  # clock offset, samples waiting
STREAM = struct.Struct("<IIIIIIdd")  # state, gaps, lates, losses, clock jumps, mismatches, since, lag
STREAM_AT, N_CHANNELS_AT = 3968, 4008
RECORD = struct.Struct("<QqdddddII")


class WorkerState(IntEnum):
    """What a worker is doing."""

    starting = 0
    searching = 1
    running = 2
    stopped = 3
    failed = 4


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
