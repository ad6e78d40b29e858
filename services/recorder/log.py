"""Streams of one JSON object per event."""

from __future__ import annotations

import json
from typing import Any

from bmi_decoder.clock import lsl_clock
from bmi_decoder.formats.xdf_encode import describe_stream, texts
from services.recorder.intake import Chunk, Intake

MARKERS = "Markers"


class EventTrack:
    """An irregular stream of strings, each a JSON object.

    Parameters
    ----------
    intake : Intake
    name : str
        Of the stream.
    """

    def __init__(self, intake: Intake, name: str) -> None:
        self._intake = intake
        header = describe_stream(name, MARKERS, "string", [("json", "")], f"bmi-decoder-{name}")
        self.track = intake.own_track(name, MARKERS, header)

    def chunk(self, event: dict[str, Any], stamp: float | None = None, keep: str = "") -> Chunk:
        """An event as a chunk; None stamps it now."""
        now = lsl_clock()
        stamp = now if stamp is None else stamp
        content = texts(self.track.number, [stamp], [[json.dumps(event, separators=(",", ":"))]])
        return Chunk(self.track, content, now, 1, stamp, stamp, keep=keep)

    def put(self, event: dict[str, Any], stamp: float | None = None, keep: str = "") -> bool:
        """Hand over an event; False if there was no room for it."""
        return self._intake.put(self.chunk(event, stamp, keep))
