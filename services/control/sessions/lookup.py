"""Whether there is a session of a name, and the answer if there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

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


@contextlib.contextmanager
def existing(control: Control, name: str) -> Iterator[None]:
    """Raise that problem also where the session is removed while the block works on it."""
    check_existing(control, name)
    try:
        yield
    except KeyError:
        check_existing(control, name)
        raise
