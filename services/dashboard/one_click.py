"""From a stream to a running session."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from services.dashboard.rest import Rest, session_path


async def decode_stream(rest: Rest, stream: dict[str, Any], decoder: str) -> str:
    """Create a session of a stream and start it; gives its name, which is after the stream's.

    Parameters
    ----------
    rest : Rest
    stream : dict
        As in a session's settings.
    decoder : str
        Id.

    Raises
    ------
    RefusedError
    """
    taken = {status["name"] for status in await rest.get("/v1/sessions")}
    name = _free_name(stream["name"], taken)
    await rest.post("/v1/sessions", {"name": name, "stream": stream, "decoder": decoder})
    await rest.post(f"{session_path(name)}/start")
    return name


def _free_name(stream: str, taken: Set[str]) -> str:
    """A session name after a stream that no other session has.

    Examples
    --------
    >>> _free_name("Cerebus (left)", {"Cerebus-left"})
    'Cerebus-left-2'
    """
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stream).strip("-_")[:56] or "session"
    candidates = (stem, *(f"{stem}-{n}" for n in range(2, len(taken) + 3)))
    return next(name for name in candidates if name not in taken)
