"""The LSL streams that are visible, but for those that sessions publish, watched while somebody looks at a page."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field

import pylsl
from pylsl.util import LostError
from pylsl.util import TimeoutError as LslTimeoutError

from services.ingest.description import RigDescription, read_description
from services.ingest.lsl import ESTIMATE_TYPE, VisibleStream, describe

LOOK_S = 0.5
KEEP_GONE_S = 60.0
"""A stream that has vanished is shown for so long."""

_NOBODY_LOOKS_S = 10.0
_FORGET_S = 3.0
_INFO_TIMEOUT_S = 2.0


@dataclass
class WatchedStream:
    """A stream, and what is known of it.

    Attributes
    ----------
    since : float
        Wall-clock time in seconds: when its outlet was made on this machine, or when it was first seen from another.
    gone_at : float or None
        Monotonic time since when it is not visible any more.
    description : RigDescription or None
        None until it has been read.
    labels, units : tuple of str
        Of its channels; empty until read, and where it does not say.
    """

    info: pylsl.StreamInfo
    stream: VisibleStream
    since: float
    gone_at: float | None = None
    description: RigDescription | None = None
    labels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    reading: asyncio.Task[None] | None = field(default=None, repr=False)


class StreamWatch:
    """Keeps the list of streams up to date as long as `visible` is called now and then.

    Used in one event loop.
    """

    def __init__(self) -> None:
        self._streams: dict[str, WatchedStream] = {}
        self._looked_at = 0.0
        self._watching: asyncio.Task[None] | None = None

    def visible(self) -> list[WatchedStream]:
        """What is there, and what was there a moment ago, by name; empty right after a first call."""
        self._looked_at = time.monotonic()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch(), name="streams")
        return sorted(self._streams.values(), key=lambda s: (s.stream.name, s.stream.source_id, s.since))

    async def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        # Streams show themselves on the network when asked: nothing is asked while no page is open.
        resolver = pylsl.ContinuousResolver(forget_after=_FORGET_S)
        while time.monotonic() - self._looked_at < _NOBODY_LOOKS_S:
            rigs = (info for info in resolver.results() if info.type() != ESTIMATE_TYPE)
            self._take({info.uid(): info for info in rigs})
            await asyncio.sleep(LOOK_S)
        self._streams.clear()

    def _take(self, infos: dict[str, pylsl.StreamInfo]) -> None:
        now = time.monotonic()
        for uid, info in infos.items():
            known = self._streams.get(uid)
            if known is None:
                known = self._streams[uid] = WatchedStream(info, describe(info), _since(info))
                known.reading = asyncio.get_running_loop().create_task(_read(known))
            known.gone_at = None
        for uid in self._streams.keys() - infos.keys():
            known = self._streams[uid]
            known.gone_at = now if known.gone_at is None else known.gone_at
            if now - known.gone_at > KEEP_GONE_S:
                del self._streams[uid]


def _since(info: pylsl.StreamInfo) -> float:
    age = pylsl.local_clock() - info.created_at() if info.hostname() == socket.gethostname() else 0.0
    return time.time() - max(0.0, age)


async def _read(watched: WatchedStream) -> None:
    """Ask the outlet for what a resolved stream lacks; one that does not answer counts as live."""
    try:
        full = await asyncio.to_thread(_full_info, watched.info)
    except (LslTimeoutError, LostError):
        watched.description = RigDescription()
        return
    watched.labels = tuple(label or "" for label in full.get_channel_labels() or ())
    watched.units = tuple(unit or "" for unit in full.get_channel_units() or ())
    watched.description = read_description(full)


def _full_info(info: pylsl.StreamInfo) -> pylsl.StreamInfo:
    # Without recovery: an inlet that recovers may abort the process when it goes (liblsl issue 220).
    return pylsl.StreamInlet(info, max_buflen=1, recover=False).info(_INFO_TIMEOUT_S)
