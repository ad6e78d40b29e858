"""``python -m services.bench.latency.source CHANNELS RATE STREAM ...``: the rig of a latency measurement.

Opens one outlet per stream. For each line ``INDEX SAMPLES`` on standard input it pushes that many samples of
Poisson counts to the outlet of that index, at the rate, and prints ``pushed``. All lanes of a measurement are fed
by this one process, so that they see the same sender.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Sequence

import numpy as np
import pylsl
from pylsl.lib import lib

_MEAN_RATE_HZ = 20.0
_PREPARED = 4096


def main(n_channels: int, rate_hz: float, streams: Sequence[str]) -> None:
    """Serve rounds until standard input ends."""
    outlets = [_open(stream, n_channels, rate_hz) for stream in streams]
    counts = np.random.default_rng(0).poisson(_MEAN_RATE_HZ / rate_hz, (_PREPARED, n_channels)).astype(np.float32)
    print("open", flush=True)
    for line in sys.stdin:
        index, n_samples = map(int, line.split())
        _push(outlets[index], counts, rate_hz, n_samples)
        print("pushed", flush=True)


def _open(stream: str, n_channels: int, rate_hz: float) -> pylsl.StreamOutlet:
    info = pylsl.StreamInfo(stream, "spikes", n_channels, rate_hz, "float32", stream)
    return pylsl.StreamOutlet(info, chunk_size=1)


def _push(outlet: pylsl.StreamOutlet, counts: np.ndarray, rate_hz: float, n_samples: int) -> None:
    rows = [ctypes.c_void_p(row.ctypes.data) for row in counts]
    push, clock, through = lib.lsl_push_sample_ftp, lib.lsl_local_clock, ctypes.c_int(1)
    began = time.monotonic()
    for i in range(n_samples):
        wait = began + i / rate_hz - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        # The stamp is the moment of the push: nothing but the call itself lies between them.
        push(outlet.obj, rows[i % _PREPARED], ctypes.c_double(clock()), through)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
