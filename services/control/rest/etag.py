"""Tags of session configurations, so that two people cannot overwrite each other's changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header

from services.control.rest.problem import Problem
from services.control.storage.stored_session import StoredSession

Check = Callable[[StoredSession], None]

HEADER: dict[str, Any] = {"ETag": {"description": "Names the configuration; see `etag`.", "schema": {"type": "string"}}}
TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": HEADER}}


async def _expected(
    if_match: Annotated[
        str | None,
        Header(
            max_length=1024, description="Do it only if the session's `etag` is still this one.", examples=['"a1b2"']
        ),
    ] = None,
) -> Check:
    """A check of the session that is about to be changed, to be made where nothing else can change it."""

    def check(session: StoredSession) -> None:
        allowed = ["*"] if if_match is None else [tag.strip() for tag in if_match.split(",")]
        if "*" not in allowed and session.etag not in allowed:
            raise Problem(
                412,
                f"session {session.name!r} has been changed since you looked at it: its etag is now {session.etag}, "
                f"If-Match names {if_match}; look at it again and repeat your change if it still makes sense",
                etag=session.etag,
            )

    return check


IfMatch = Annotated[Check, Depends(_expected)]
