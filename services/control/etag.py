"""Tags of session configurations, so that two people cannot overwrite each other's changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header

from services.control.problem import Problem
from services.control.tables import SessionRow

Check = Callable[[SessionRow], None]

HEADER: dict[str, Any] = {"ETag": {"description": "Names the configuration; see `etag`.", "schema": {"type": "string"}}}
TAGGED: dict[int | str, dict[str, Any]] = {200: {"headers": HEADER}}


def etag(row: SessionRow) -> str:
    """The tag of a session's settings and revision, in quotes as HTTP wants it."""
    configuration = [row.created_at, row.revision, row.settings]
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    return f'"{digest[:16]}"'


def _expected(
    if_match: Annotated[
        str | None,
        Header(
            max_length=1024, description="Do it only if the session's `etag` is still this one.", examples=['"a1b2"']
        ),
    ] = None,
) -> Check:
    """A check of the row that is about to be changed, to be made where nothing else can change it."""

    def check(row: SessionRow) -> None:
        allowed = ["*"] if if_match is None else [tag.strip() for tag in if_match.split(",")]
        current = etag(row)
        if "*" not in allowed and current not in allowed:
            raise Problem(
                412,
                f"session {row.name!r} has been changed since you looked at it: its etag is now {current}, "
                f"If-Match names {if_match}; look at it again and repeat your change if it still makes sense",
                etag=current,
            )

    return check


IfMatch = Annotated[Check, Depends(_expected)]
