"""Waiting for a stream to appear."""

from __future__ import annotations

import pylsl

from bmi_decoder.config import StreamSettings
from services.ingest.expectation import select
from services.ingest.lsl import describe


class StreamSearch:
    """Looks for a session's stream in the background, and tells what else is there."""

    def __init__(self, wanted: StreamSettings) -> None:
        self._wanted = wanted
        self._resolver = pylsl.ContinuousResolver()

    def poll(self, ignore_uid: str | None = None) -> pylsl.StreamInfo | None:
        """The stream, or None while it is not there.

        Parameters
        ----------
        ignore_uid : str, optional
            An outlet that was just lost and may still be listed for a few seconds.

        Raises
        ------
        StreamMismatchError
            If a stream has the name but cannot be meant.
        """
        infos = [info for info in self._resolver.results() if info.uid() != ignore_uid]
        chosen = select([describe(info) for info in infos], self._wanted)
        if chosen is None:
            return None
        same = [info for info in infos if describe(info) == chosen]
        return max(same, key=lambda info: info.created_at())

    def report(self) -> str:
        """What was looked for and what is visible instead, for people."""
        others = sorted({str(describe(info)) for info in self._resolver.results()})
        seen = f"visible now: {'; '.join(others)}" if others else "no LSL stream is visible at all"
        return (
            f"no stream named {self._wanted.name!r} of type {self._wanted.type!r}; {seen}. Start the rig, or "
            "correct the session's stream"
        )
