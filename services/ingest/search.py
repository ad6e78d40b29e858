"""Waiting for a stream to appear."""

from __future__ import annotations

import math
import time
from collections.abc import Set

import pylsl

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from services.ingest.expectation import select
from services.ingest.listing import Listing
from services.ingest.lsl import VisibleStream, describe

SETTLE_S = 1.0
"""How long the search goes on when something of the wanted name was found: streams answer one after the other, known
peers last, and the first to answer may be the wrong one."""

UNREACHABLE_S = 0.6
"""How long an outlet may take to answer: it was asked two or three times by then."""

ANSWERS_S = 0.04
"""How long one that was out of reach has answered before its old connection is given up: one more look of the loop."""


class StreamSearch:
    """Looks for a session's stream in the background, and tells what else is there.

    Parameters
    ----------
    wanted : StreamSettings
    last : VisibleStream, optional
        What the session has received before. If the same source comes back it is taken at once.
    listing : Listing, optional
        One that has begun before; the time since then counts. None begins one.

    Attributes
    ----------
    candidate : StreamInfo or None
        What is taken if nothing else answers.
    """

    def __init__(
        self, wanted: StreamSettings, last: VisibleStream | None = None, listing: Listing | None = None
    ) -> None:
        self._wanted, self._last = wanted, last
        self._listing = Listing() if listing is None else listing
        self._found_at = math.inf
        self._polled = self._unreachable = False
        self._answers_since = math.inf
        self.candidate: pylsl.StreamInfo | None = None

    @property
    def settling(self) -> bool:
        """Whether something of the wanted name has been found, and the search goes on for a moment."""
        return math.isfinite(self._found_at)

    def poll(self, ignored: Set[str] = frozenset()) -> pylsl.StreamInfo | None:
        """The stream, or None while it is not there.

        Parameters
        ----------
        ignored : set of str, optional
            uids of outlets that are not meant: just lost, and perhaps listed for a few seconds more, or refused.

        Raises
        ------
        StreamMismatchError
            If only streams have the name that cannot be meant, or several that can.
        """
        looked_before, self._polled = self._polled, True
        infos = [info for info in self._listing.infos() if info.uid() not in ignored]
        streams, wanted = [describe(info) for info in infos], self._wanted
        self.candidate, chosen, mismatch = None, None, None
        try:
            # The source that was there before comes first, whoever else answers to the name.
            chosen = select([one for one in streams if self._is_back(one)] or streams, wanted)
        except StreamMismatchError as error:
            mismatch = error
        if chosen is None and mismatch is None:
            self._found_at = math.inf
            return None
        if chosen is not None:
            same = [info for info in infos if describe(info) == chosen]
            self.candidate = max(same, key=lambda info: info.created_at())
        now = time.monotonic()
        # What is there at the first look has been there while everything else had the time to answer.
        self._found_at = min(self._found_at, now if looked_before else self._listing.began)
        if now - self._found_at < SETTLE_S and not self._is_back(chosen):
            return None
        if mismatch is not None:
            raise mismatch
        return self.candidate

    def moved(self, old_uid: str, refused: Set[str]) -> pylsl.StreamInfo | None:
        """The same source under another connection, while the old one, to an outlet of that uid, stands and is silent.

        A rig that pauses is not given up for another of the same name: a source that has an id must have the same one,
        on the same host, and of one that has none the old outlet must be gone. The old outlet itself is found where it
        was out of reach: when it answers again TCP goes on waiting, for as long as the network was cut, and a new
        connection brings the next sample at once. Not at its first answer, though: where not the network but the rig
        had stopped, the old connection now brings what the rig has kept, and a new one would not.
        """
        now, infos = time.monotonic(), [info for info in self._listing.infos() if info.uid() not in refused]
        old = [info for info in infos if info.uid() == old_uid]
        if old and self._unreachable:
            self._answers_since = min(self._answers_since, now)
            return old[0] if now - self._answers_since > ANSWERS_S else None
        self._answers_since = math.inf
        self._unreachable = not old and now - self._listing.began > UNREACHABLE_S
        if self._last is not None and self._last.source_id:
            host = self._last.hostname
            same = [info for info in infos if self._is_back(one := describe(info)) and one.hostname == host]
            moved = [info for info in same if info.uid() != old_uid]
            return max(moved, key=lambda info: info.created_at(), default=None)
        return None if old else self.poll(refused)

    def sees(self, uids: Set[str]) -> bool:
        """Whether any of these outlets is still there."""
        return any(info.uid() in uids for info in self._listing.infos())

    def _is_back(self, stream: VisibleStream | None) -> bool:
        last = self._last
        if stream is None or last is None or not last.source_id:
            return False
        return (last.source_id, last.name, last.type) == (stream.source_id, stream.name, stream.type)

    def close(self) -> None:
        """End the search, and the listing that it was given; what it found stays valid."""
        self._listing.close()

    def report(self) -> str:
        """What was looked for and what is visible instead, for people."""
        if self.settling:
            found = f"streams named {self._wanted.name!r}" if self.candidate is None else describe(self.candidate)
            return f"found {found}; others of that name have a moment to answer"
        others = sorted({str(describe(info)) for info in self._listing.infos()})
        seen = f"visible now: {'; '.join(others)}" if others else "no LSL stream is visible at all"
        return (
            f"no stream named {self._wanted.name!r} of type {self._wanted.type!r}; {seen}. Start the rig, or "
            "correct the session's stream"
        )
