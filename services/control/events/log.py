"""The latest events, in memory, for any number of readers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator

from bmi_decoder.events import AnyEvent, GapEvent
from services.control.clock import now

KEPT = 2000
_BATCH = 50


class EventLog:
    """A bounded history of events.

    A reader has a place in this history and nothing of its own. One that is too slow is told what it has missed; it
    neither holds up who publishes nor uses memory.

    Parameters
    ----------
    kept : int
        Events that can be read again.
    """

    def __init__(self, kept: int = KEPT) -> None:
        # Numbers start anew with every control plane: those of another one must not be taken for ours.
        self._epoch = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._newest = 0
        self._events: deque[AnyEvent] = deque(maxlen=kept)
        self._readers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def publish(self, event: AnyEvent) -> None:
        """Give an event its id and its time, and show it to all readers; from any thread."""
        with self._lock:
            self._newest = next(self._numbers)
            self._events.append(event.model_copy(update={"id": self._id(self._newest), "at": now()}))
            self._wake()

    def close(self) -> None:
        """Let all readers come to their end."""
        with self._lock:
            self._closed = True
            self._wake()

    def kept(self) -> list[AnyEvent]:
        """The events that can be read again, oldest first."""
        with self._lock:
            return list(self._events)

    async def follow(self, last_id: str | None = None) -> AsyncIterator[AnyEvent]:
        """Events as they come, until the log is closed.

        Parameters
        ----------
        last_id : str, optional
            Id of the last event that the reader knows; those behind it come first. None begins with the next one.

        Yields
        ------
        AnyEvent
            A `GapEvent` where the history no longer reaches back to what the reader has seen.
        """
        wake = asyncio.Event()
        reader = (asyncio.get_running_loop(), wake)
        with self._lock:
            self._readers.add(reader)
            place = self._newest if last_id is None else self._place(last_id)
        try:
            while True:
                wake.clear()
                batch, place, closed = self._behind(place)
                for event in batch:
                    yield event
                if closed and not batch:
                    return
                if not batch:
                    await wake.wait()
        finally:
            with self._lock:
                self._readers.discard(reader)

    def _behind(self, place: int | None) -> tuple[list[AnyEvent], int, bool]:
        with self._lock:
            before_oldest = self._newest - len(self._events)
            batch: list[AnyEvent] = []
            if place is None or place < before_oldest:
                missed = None if place is None else before_oldest - place
                batch.append(GapEvent(id=self._id(before_oldest), at=now(), missed=missed))
                place = before_oldest
            skipped = place - before_oldest
            batch += itertools.islice(self._events, skipped, skipped + _BATCH)
            return batch, min(place + _BATCH, self._newest), self._closed

    def _place(self, event_id: str) -> int | None:
        """The number of an event; None if it is not one of ours."""
        epoch, _, number = event_id.partition("-")
        known = epoch == self._epoch and number.isdecimal() and number.isascii() and len(number) < 16
        return int(number) if known and int(number) <= self._newest else None

    def _id(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def _wake(self) -> None:
        for loop, wake in self._readers:
            with contextlib.suppress(RuntimeError):  # its loop is closed, and so is the reader
                loop.call_soon_threadsafe(wake.set)
