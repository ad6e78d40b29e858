"""Route for events: what happens, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.control.context import ControlDep
from services.control.rest.problem import responses

router = APIRouter(prefix="/v1/events", tags=["events"])


@router.get("", summary="Follow what happens", response_class=EventSourceResponse, responses=responses(422))
async def follow_events(
    control: ControlDep,
    last_event_id: Annotated[
        str | None,
        Header(max_length=64, description="Id of the last event that was received; what followed comes first."),
    ] = None,
    session: Annotated[str | None, Query(description="Leave out the events of other sessions.")] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: states of sessions, health events of workers, swaps, jobs.

    Each has a type, an id and JSON data. The last 2,000 can be read again: a reader that comes back with the id of the
    last one it has seen goes on behind it, as browsers do by themselves. Where events are missing, because the history
    no longer reaches back or the reader is too slow, there is one of type `gap`. A comment every 15 s shows that the
    connection lives.
    """
    async for event in control.events.follow(last_event_id or None):
        if session is None or getattr(event, "session", None) in (None, session):
            yield ServerSentEvent(raw_data=event.model_dump_json(), event=event.type, id=event.id)
