"""Routes for sessions: create, look at, start, stop, change, delete."""

from __future__ import annotations

import contextlib
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.concurrency import run_in_threadpool

from bmi_decoder.config import SessionSettings
from bmi_decoder.events import SessionEvent
from bmi_decoder.rest_models import RevisionInfo, SessionChange, SessionStatus
from services.control.context import Control, ControlDep
from services.control.rest.etag import HEADER, TAGGED, Check, IfMatch
from services.control.rest.paging import LINK, PageDep, one_page
from services.control.rest.problem import Problem, responses
from services.control.sessions.check import check_session, merged_settings
from services.control.sessions.lookup import check_existing, existing, no_session
from services.control.sessions.revisions import rollback_target, swap_target
from services.control.sessions.status import session_status
from services.control.storage.stored_session import StoredSession

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

_SMALL = {"name": "m1", "stream": {"name": "M1", "type": "spikes"}, "decoder": "9f86d081884c7d65"}
_FULL = _SMALL | {
    "output_filters": {"low_latency": {"cutoff_hz": 6.25}, "high_accuracy": {"cutoff_hz": 6.25, "width": 64}},
    "masked_channels": [3, 17],
    "gap_policy": "hold",
    "endpoint": "tcp://127.0.0.1:5555",
}
NewSession = Annotated[
    SessionSettings,
    Body(
        openapi_examples={
            "small": {"summary": "Everything else by default", "value": _SMALL},
            "full": {"summary": "Filters, mask and endpoint chosen", "value": _FULL},
        }
    ),
]


@router.post(
    "", status_code=201, summary="Create a session", responses=responses(409, 422) | {201: {"headers": HEADER}}
)
async def create_session(settings: NewSession, control: ControlDep, response: Response) -> SessionStatus:
    """Create a session: a stream in, a decoder, an endpoint out. It does not run until it is started."""
    await run_in_threadpool(check_session, control, settings)
    if control.store.session(settings.name) is not None:
        raise _name_taken(settings.name)
    if await run_in_threadpool(control.store.add_session, settings) is None:
        await run_in_threadpool(check_session, control, settings)
        raise _name_taken(settings.name)
    control.events.publish(SessionEvent(session=settings.name, action="created"))
    return await _tagged(control, settings.name, response)


@router.get("", summary="List sessions")
async def list_sessions(control: ControlDep) -> list[SessionStatus]:
    """All sessions by name."""
    statuses = []
    for known in control.store.sessions():
        # One that is removed meanwhile is no longer in the list.
        if (status := await _settled_status(control, known.name)) is not None:
            statuses.append(status)
    return statuses


@router.get("/{name}", summary="Look at a session", response_model=SessionStatus, responses=responses(404) | TAGGED)
async def get_session(name: str, control: ControlDep) -> Response:
    """One session: what it should do, what it does, and how its last run ended."""
    status = await current_status(control, name)
    # A valid model needs no second validation; people and programs ask for this many times a second.
    return Response(status.model_dump_json(), media_type="application/json", headers={"ETag": status.etag})


@router.post("/{name}/start", summary="Start a session", responses=responses(404) | TAGGED)
async def start_session(name: str, control: ControlDep, response: Response) -> SessionStatus:
    """Start a session and wait a few seconds for its worker; one that runs goes on undisturbed.

    From now on it is kept running, through crashes and reboots, until it is stopped.
    """
    with existing(control, name):
        await control.supervisor.start(name)
    return await _tagged(control, name, response)


@router.post("/{name}/stop", summary="Stop a session", responses=responses(404) | TAGGED)
async def stop_session(name: str, control: ControlDep, response: Response) -> SessionStatus:
    """Stop a session; one that does not run stays as it is."""
    with existing(control, name):
        await control.supervisor.stop(name)
    return await _tagged(control, name, response)


@router.patch("/{name}", summary="Change a session", responses=responses(404, 409, 412, 422, 500, 503, 504) | TAGGED)
async def change_session(
    name: str, change: SessionChange, control: ControlDep, expected: IfMatch, response: Response
) -> SessionStatus:
    """Change settings of a session; what is left out stays as it is.

    While it runs, `decoder`, `output_filters` and `masked_channels` can be changed: the answer comes when the worker
    has switched between two bins, or says why it has not. Everything else needs a session that is stopped.
    """
    supervisor = control.supervisor
    with existing(control, name):
        done = await supervisor.change(
            name, lambda row: _changed(control, row, change, expected), "changed while stopped"
        )
        if not done:
            session = supervisor.session(name)
            done = await supervisor.swapper.swap(name, session, lambda row: swap_target(control, row, change, expected))
    if not done:
        raise await _not_while_running(control, name, "changed")
    control.events.publish(SessionEvent(session=name, action="changed"))
    return await _tagged(control, name, response)


@router.post(
    "/{name}/rollback", summary="Undo a change", responses=responses(404, 409, 412, 422, 500, 503, 504) | TAGGED
)
async def rollback_session(name: str, control: ControlDep, expected: IfMatch, response: Response) -> SessionStatus:
    """Return to the revision before the one that a session has.

    Within seconds of a swap the former decoder is still warm, and is back with the next bin. Later it is swapped in
    as any other.
    """
    supervisor = control.supervisor
    with existing(control, name):
        done = await supervisor.return_to(name, lambda row: rollback_target(control, row, expected))
        if not done:
            session = supervisor.session(name)
            done = await supervisor.swapper.swap(
                name, session, lambda row: rollback_target(control, row, expected), left="rolled_back"
            )
    if not done:
        raise await _not_while_running(control, name, "rolled back")
    control.events.publish(SessionEvent(session=name, action="changed"))
    return await _tagged(control, name, response)


@router.get("/{name}/revisions", summary="What a session has decoded with", responses=responses(404, 422) | LINK)
async def list_revisions(
    name: str, control: ControlDep, page: PageDep, request: Request, response: Response
) -> list[RevisionInfo]:
    """All revisions of a session, oldest first, with those that failed."""
    check_existing(control, name)
    rows = await run_in_threadpool(control.store.revisions, name, page)
    shown = one_page(page, rows, ("revision",), request, response)
    return [RevisionInfo.model_validate(row, from_attributes=True) for row in shown]


@router.delete("/{name}", status_code=204, summary="Delete a session", responses=responses(404, 409, 412))
async def delete_session(name: str, control: ControlDep, expected: IfMatch) -> None:
    """Delete a session that does not run, with its log and its other files."""
    check_existing(control, name)
    recorder = await control.recorders.status(name)
    if recorder is not None and recorder.state != "ended":
        end = "disarm" if recorder.state == "armed" and recorder.file is None else "stop"
        raise Problem(
            409, f"session {name!r} has a recorder; end that first: POST /v1/sessions/{name}/recordings/{end}"
        )
    with existing(control, name):
        removed = await control.supervisor.remove(name, expected)
    if not removed:
        raise await _not_while_running(control, name, "deleted")
    control.events.publish(SessionEvent(session=name, action="deleted"))


def _changed(control: Control, row: StoredSession, change: SessionChange, expected: Check) -> SessionSettings:
    expected(row)
    settings = merged_settings(row.settings, change.model_dump(mode="json", exclude_unset=True))
    check_session(control, settings)
    return settings


async def current_status(control: Control, name: str) -> SessionStatus:
    """The status of a session.

    Raises
    ------
    Problem
        404 if there is none of that name.
    """
    # Asking for the supervised side of a name makes one, so a name that is new must be a session's.
    if not control.supervisor.knows(name):
        check_existing(control, name)
    status = await _settled_status(control, name)
    if status is None:
        raise no_session(control.store, name)
    return status


async def _tagged(control: Control, name: str, response: Response) -> SessionStatus:
    status = await current_status(control, name)
    response.headers["ETag"] = status.etag
    return status


async def _settled_status(control: Control, name: str) -> SessionStatus | None:
    """The status of a session that was in the store just now, once it has one; None if it has been removed since."""
    session = control.supervisor.session(name)
    while True:
        # Under the lock the store and the worker tell of the same moment.
        async with session.lock:
            await control.supervisor.swapper.reconcile(name, session)
            stored = control.store.session(name)
            if stored is None:
                return None
            if (status := await session_status(stored, session)) is not None:
                return status
        with contextlib.suppress(KeyError):  # removed meanwhile; the next look says so
            await control.supervisor.settle(name)


def _name_taken(name: str) -> Problem:
    return Problem(409, f"there is a session {name!r} already; choose another name, or delete that one first")


async def _not_while_running(control: Control, name: str, what: str) -> Problem:
    state = (await current_status(control, name)).state
    return Problem(
        409,
        f"session {name!r} is {state} and cannot be {what} now; stop it first: POST /v1/sessions/{name}/stop",
        state=state,
        allowed=["stopped", "failed"],
    )
