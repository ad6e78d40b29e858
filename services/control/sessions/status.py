"""What REST says about a session: the store's side and the worker's side in one answer."""

from __future__ import annotations

from typing import Any, cast

from bmi_decoder.rest_models import Latency, RealtimeGrant, SessionState, SessionStatus
from services.control.sessions.supervised import Live, Supervised
from services.control.storage.stored_session import StoredSession

_COUNTERS = ("bins_in", "bins_decoded", "bins_lost", "bins_duplicated", "bins_invalid")


def session_state(row: StoredSession, session: Supervised, live: Live | None) -> tuple[SessionState, str] | None:
    """State and message; None while a worker is on its way out, when there is no true answer."""
    if live is None:
        return None if session.worker is not None else _resting_state(row, session)
    if live.final:
        return None
    if live.status is None:
        return "starting", ""
    return cast(SessionState, live.status.state), live.status.message


async def session_status(row: StoredSession, session: Supervised) -> SessionStatus | None:
    """The status of a session, whose lock is held; None where store and worker tell of two moments.

    While a worker runs the figures are its own; afterwards they are those that it ended with. In between,
    its last word is out but the store does not have it yet. It may also have switched to another revision a moment
    ago. Then there is no true answer, and the caller settles the session and asks again.
    """
    settings = row.settings
    live = session.live()
    found = session_state(row, session, live)
    if found is None or _ahead(session, live):
        return None
    state, message = found
    figures: dict[str, Any] = dict(row.last or {}) if live is None else {}
    endpoint, server_key, revision, age = settings.endpoint, None, row.revision, None
    realtime: list[Any] = []
    health: dict[str, Any] = {}
    if live is not None and live.status is not None:
        said = live.status
        latency = await session.recent_latency_us()
        figures = {name: getattr(said, name) for name in _COUNTERS} | {"latency_us": latency}
        age, realtime = said.last_bin_age_s, said.realtime
        health = {"stream": said.stream, "channels": said.channels}
        endpoint, server_key = said.endpoint or endpoint, said.server_key or None
        # In mid-swap the store has the rest of the answer too.
        revision = said.revision if session.swapping_to is None else revision
    return SessionStatus(
        name=row.name,
        state=state,
        message=message,
        endpoint=endpoint,
        server_key=server_key,
        revision=revision,
        etag=row.etag,
        swapping_to=session.swapping_to,
        **{name: figures.get(name, 0) for name in _COUNTERS},
        latency_us=None if figures.get("latency_us") is None else Latency(**figures["latency_us"]),
        last_bin_age_s=age,
        **health,
        restarts=row.restarts,
        exit_code=figures.get("exit_code"),
        pid=None if live is None else live.pid,
        wanted=row.wanted,
        decoder=row.decoder,
        variants=list(row.variants),
        realtime=[RealtimeGrant(**grant) for grant in realtime],
        settings=settings,
    )


def _ahead(session: Supervised, live: Live | None) -> bool:
    """Whether a worker publishes a revision that is not the store's yet."""
    said = None if live is None else live.status
    return said is not None and session.swapping_to is None and said.revision != session.revision


def stale_reason(status: SessionStatus, fresh_s: float) -> str | None:
    """Why a session that should run is not ready, None if it is."""
    if status.state != "running":
        return f"{status.state}: {status.message}" if status.message else status.state
    if status.last_bin_age_s is None:
        return "no bin received yet"
    if status.last_bin_age_s > fresh_s:
        return f"last bin {status.last_bin_age_s:.1f} s ago, more than {fresh_s:g} s"
    return None


def _resting_state(row: StoredSession, session: Supervised) -> tuple[SessionState, str]:
    """State and message while no worker runs."""
    last = str((row.last or {}).get("message", ""))
    if row.failed:
        return "failed", last
    if row.wanted:
        return "starting", session.message
    return "stopped", last
