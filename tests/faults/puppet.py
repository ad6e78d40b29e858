"""``python -m tests.faults.puppet STREAM SOURCE_ID CHANNELS EPOCH LOG``: a rig that misbehaves on command.

It pushes 250 samples a second. A sample is stamped with the end of its interval on a grid that begins at EPOCH, on the
LSL clock, and all its channels hold the number of that stamp on the grid, modulo 4096, plus one: so that from an
estimate and its stamp anyone can tell whether it was decoded from the right sample. The row log has stamp and moment of
each push. Commands, a line each on standard input:

``hold``, ``burst``, ``skip``
    Push nothing; then all that was held at once, or only what comes from now on.
``offset S``
    Stamp so many seconds off from now on.
``drift PPM``
    Let the stamps run too fast from now on.
``freeze``, ``thaw``
    Give every sample the same stamp; stamp as before again.
``value X N``
    Push X on every channel of the next N samples.
``again``, ``swapped``
    Push the next sample twice; the next two in the wrong order.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from pathlib import Path

import pylsl

from services.rowlog import RowLogWriter

RATE_HZ = 250.0
SAMPLE_S = 1 / RATE_HZ
VALUES = 4096
_LOOK_S = 0.002


def value_of(stamp: float, epoch: float) -> float:
    """What every channel of the sample with a stamp holds."""
    return float(round((stamp - epoch) * RATE_HZ) % VALUES + 1)


class _Puppet:
    def __init__(self, stream: str, source_id: str, n_channels: int, epoch: float, log: Path) -> None:
        info = pylsl.StreamInfo(stream, "spikes", n_channels, RATE_HZ, "float32", source_id)
        self._outlet = pylsl.StreamOutlet(info, chunk_size=1)
        self._n_channels, self._epoch = n_channels, epoch
        self._log = RowLogWriter(log, 2)
        self._next = self._now()
        self._holding = False
        self._offset_s, self._drift, self._drift_from = 0.0, 0.0, 0.0
        self._value, self._left = 0.0, 0
        self._order: list[int] = []
        self._frozen: int | None = None

    def run(self, commands: queue.SimpleQueue[str]) -> None:
        print("open", flush=True)
        while True:
            while not commands.empty():
                words = commands.get().split()
                if words == ["end"]:
                    return
                self._obey(*words)
            if self._holding:
                time.sleep(_LOOK_S)
                continue
            # No sample comes before its time, so the first of two that change places waits for the other.
            due = self._next + max(self._order, default=0)
            wait = self._epoch + due * SAMPLE_S - pylsl.local_clock()
            if wait > 0:
                time.sleep(min(wait, _LOOK_S))
                continue
            for k in self._order or [0]:
                self._push(self._next + k)
            self._next += max(self._order, default=0) + 1
            self._order = []

    def _obey(self, what: str, *values: str) -> None:
        match what:
            case "hold":
                self._holding = True
            case "burst":
                self._holding = False
            case "skip":
                self._holding, self._next = False, self._now()
            case "offset":
                self._offset_s = float(values[0])
            case "freeze" | "thaw":
                self._frozen = self._next if what == "freeze" else None
            case "drift":
                self._drift, self._drift_from = float(values[0]) * 1e-6, self._next * SAMPLE_S
            case "value":
                self._value, self._left = float(values[0]), int(values[1])
            case "again":
                self._order = [0, 0]
            case "swapped":
                self._order = [1, 0]
            case _:
                raise ValueError(what)
        print(pylsl.local_clock(), flush=True)

    def _push(self, k: int) -> None:
        at = (k if self._frozen is None else self._frozen) * SAMPLE_S
        stamp = self._epoch + at + self._offset_s + self._drift * max(0.0, at - self._drift_from)
        value = 1.0 if math.isnan(stamp) else value_of(stamp, self._epoch)
        if self._left:
            self._left -= 1
            value = self._value
        self._outlet.push_sample([value] * self._n_channels, stamp)
        self._log.append(stamp, pylsl.local_clock())

    def _now(self) -> int:
        return round((pylsl.local_clock() - self._epoch) * RATE_HZ) + 1


def main(stream: str, source_id: str, n_channels: str, epoch: str, log: str) -> None:
    """Push until told to end."""
    commands: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            commands.put(line)
        commands.put("end")

    threading.Thread(target=listen, daemon=True).start()
    _Puppet(stream, source_id, int(n_channels), float(epoch), Path(log)).run(commands)


if __name__ == "__main__":
    main(*sys.argv[1:])
