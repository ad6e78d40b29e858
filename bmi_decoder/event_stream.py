"""Receives the control plane's server-sent events."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx

from bmi_decoder.events import EVENT, AnyEvent

SILENCE_S = 60.0
"""A connection that has been silent for this long is dead: there is a comment every 15 s."""

_PAUSE_S = 1.0


def follow(http: httpx.Client, session: str | None, last_id: str | None) -> Iterator[AnyEvent]:
    """Events as they come, through as many connections as it takes.

    Parameters
    ----------
    http : httpx.Client
    session : str, optional
    last_id : str, optional

    Raises
    ------
    httpx.HTTPError
        If the first connection cannot be made.
    httpx.HTTPStatusError
        If events are refused.
    """
    connected = False
    timeout = httpx.Timeout(http.timeout.connect, read=SILENCE_S)
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        params = {"session": session} if session else {}
        try:
            with http.stream("GET", "/v1/events", headers=headers, params=params, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    answer.raise_for_status()
                connected = True
                for event in _events(answer.iter_lines()):
                    last_id = event.id
                    yield event
        except httpx.TransportError:
            if not connected:
                raise
        time.sleep(_PAUSE_S)


def _events(lines: Iterator[str]) -> Iterator[AnyEvent]:
    """The events in a text/event-stream of ours: one line of data each."""
    for line in lines:
        if line.startswith("data:"):
            yield EVENT.validate_json(line[5:])
