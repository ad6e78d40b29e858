"""Which revision a request to a running session asks for, and what cannot be changed there."""

from __future__ import annotations

from bmi_decoder.rest_models import SessionChange
from services.control.context import Control
from services.control.rest.etag import Check
from services.control.rest.problem import Problem
from services.control.sessions.check import check_session, merged_settings
from services.control.storage.stored_session import StoredSession
from services.control.storage.tables import REVISED, RevisionRow


def swap_target(control: Control, row: StoredSession, change: SessionChange, expected: Check) -> RevisionRow | None:
    """A new revision on trial, as a change wants it; None if nothing would change.

    Raises
    ------
    Problem
        409 if it wants something that a revision does not hold, 412 if the session is not as expected, 422 if a
        value cannot be used.
    """
    expected(row)
    current = row.settings
    settings = merged_settings(current, change.model_dump(mode="json", exclude_unset=True))
    fixed = [
        field
        for field in type(settings).model_fields
        if field not in REVISED and getattr(settings, field) != getattr(current, field)
    ]
    if fixed:
        raise Problem(
            409,
            f"{', '.join(fixed)} cannot be changed while session {row.name!r} runs; stop it first: POST "
            f"/v1/sessions/{row.name}/stop. Only {', '.join(REVISED)} can be swapped",
            fields=list(fixed),
            allowed=["stopped", "failed"],
        )
    check_session(control, settings)
    if settings == current:
        return None
    return control.store.add_trial(row.name, settings, "swapped while running")


def rollback_target(control: Control, row: StoredSession, expected: Check) -> RevisionRow:
    """The revision before the one that a session has, with its decoder kept from being deleted.

    Raises
    ------
    Problem
        409 if there is none, or if its decoder is gone; 412 if the session is not as expected.
    """
    expected(row)
    store = control.store
    current = store.revision(row.name, row.revision)
    parent = None if current is None or current.parent is None else store.revision(row.name, current.parent)
    if parent is None:
        raise Problem(409, f"session {row.name!r} has revision {row.revision} and none before it to return to")
    if not store.hold(row.name, parent.revision):
        raise Problem(
            409,
            f"revision {parent.revision} of session {row.name!r} used decoder {parent.decoder!r}, which has been "
            "deleted; upload it again",
        )
    return parent
