"""``python -m services.bench.latency.source [--sync] LOG CHANNELS RATE STREAM ...``: the rig of a latency measurement.

Opens one outlet per stream. For each line ``INDEX SAMPLES`` on standard input it pushes that many samples of
Poisson counts to the outlet of that index, at the rate, and prints ``pushed`` with the stamp of the first. With ``all``
for an index every outlet gets that many, their phases spread over the time between two samples. Stamps are regular, as
those of an acquisition system are; the row log has outlet, stamp and moment of each push. All lanes of a measurement
are fed by this one process, so that they see the same sender. With ``--sync`` a push writes to the network itself, and
not a thread of the outlet's behind it.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pylsl
from pylsl.lib import lib

from services.rowlog import RowLogWriter

_MEAN_RATE_HZ = 20.0
_PREPARED = 4096


def main(log_path: Path, n_channels: int, rate_hz: float, streams: Sequence[str], sync: bool) -> None:
    """Serve rounds until standard input ends."""
    outlets = [_open(stream, n_channels, rate_hz, sync) for stream in streams]
    counts = np.random.default_rng(0).poisson(_MEAN_RATE_HZ / rate_hz, (_PREPARED, n_channels)).astype(np.float32)
    log = RowLogWriter(log_path, 3)
    print("open", flush=True)
    for line in sys.stdin:
        which, n_samples = line.split()
        chosen = dict(enumerate(outlets)) if which == "all" else {int(which): outlets[int(which)]}
        first = _push(chosen, counts, rate_hz, int(n_samples), log)
        print("pushed", repr(first), flush=True)


def _open(stream: str, n_channels: int, rate_hz: float, sync: bool) -> pylsl.StreamOutlet:
    info = pylsl.StreamInfo(stream, "spikes", n_channels, rate_hz, "float32", stream)
    flags = pylsl.transp_sync_blocking if sync else pylsl.transp_default
    return pylsl.StreamOutlet(info, chunk_size=1, transport_flags=flags)


def _push(
    outlets: Mapping[int, pylsl.StreamOutlet],
    counts: npt.NDArray[np.float32],
    rate_hz: float,
    n_samples: int,
    log: RowLogWriter,
) -> float:
    """Push, each sample when its stamp says; returns the first stamp."""
    rows = [ctypes.c_void_p(row.ctypes.data) for row in counts]
    push, clock, through = lib.lsl_push_sample_ftp, lib.lsl_local_clock, ctypes.c_int(1)
    phases = [(index, outlet.obj, place / len(outlets)) for place, (index, outlet) in enumerate(outlets.items())]
    first = clock()
    for i in range(n_samples):
        for index, outlet, phase in phases:
            stamp = first + (i + phase) / rate_hz
            wait = stamp - clock()
            if wait > 0:
                time.sleep(wait)
            log.append(index, stamp, clock())
            push(outlet, rows[i % _PREPARED], ctypes.c_double(stamp), through)
    return float(first)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sync", action="store_true")
    parser.add_argument("log", type=Path)
    parser.add_argument("channels", type=int)
    parser.add_argument("rate", type=float)
    parser.add_argument("streams", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    main(given.log, given.channels, given.rate, given.streams, given.sync)
