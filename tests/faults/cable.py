"""``python -m tests.faults.cable NAMESPACE DEVICE NAMESPACE DEVICE``: a cable that delays what it carries.

Each end is a TAP device in a network namespace. A line on standard input is the delay of every frame from now on, in
seconds and in either direction; frames that are under way keep theirs, and none overtakes another. It needs no module
of the kernel's, as netem does.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import struct
import sys
import threading
import time
from collections import deque
from pathlib import Path

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x2, 0x1000
_FRAME = 65_536


def _end(namespace: str, device: str) -> int:
    """A TAP device of another namespace, which stays usable from there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", namespace).open("rb") as place:
        if libc.setns(place.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TAP | _IFF_NO_PI))
    return end


class _Cable(threading.Thread):
    """Carries frames from the time it starts."""

    def __init__(self, ends: tuple[int, int]) -> None:
        super().__init__(daemon=True)
        self._to = dict(zip(ends, reversed(ends), strict=True))
        self._under_way: deque[tuple[float, int, bytes]] = deque()
        self.delay_s = 0.0

    def run(self) -> None:
        while True:
            wait_s = max(0.0, self._under_way[0][0] - time.monotonic()) if self._under_way else 1.0
            for end in select.select([*self._to], [], [], wait_s)[0]:
                frame = os.read(end, _FRAME)
                last = self._under_way[-1][0] if self._under_way else 0.0
                self._under_way.append((max(last, time.monotonic() + self.delay_s), self._to[end], frame))
            while self._under_way and self._under_way[0][0] <= time.monotonic():
                _, end, frame = self._under_way.popleft()
                with contextlib.suppress(OSError):  # an end that is not plugged in loses frames
                    os.write(end, frame)


def main(*places: str) -> None:
    """Carry until standard input ends."""
    cable = _Cable((_end(*places[:2]), _end(*places[2:])))
    cable.start()
    print("plugged in", flush=True)
    for line in sys.stdin:
        cable.delay_s = float(line)
        print(time.monotonic(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
