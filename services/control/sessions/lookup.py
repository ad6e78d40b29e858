"""Whether there is a session of a name, and the answer if there is none."""

from __future__ import annotations

from services.control.context import Control
from services.control.rest.problem import Problem, not_found
from services.control.storage.store import Store


def no_session(store: Store, name: str) -> Problem:
    """404 that names the sessions that there are."""
    return not_found("session", name, (known.name for known in store.sessions()))


def check_existing(control: Control, name: str) -> None:
    """Raise that problem unless there is such a session."""
    if control.store.session(name) is None:
        raise no_session(control.store, name)
