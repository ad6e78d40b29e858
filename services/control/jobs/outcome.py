"""Routes for what becomes of a job's decoder: deploy it to a session, or discard it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from fastapi.concurrency import run_in_threadpool

from bmi_decoder.jobs import Deployment, JobInfo
from bmi_decoder.rest_models import SessionChange, SessionStatus
from services.control.context import Control, ControlDep
from services.control.jobs.routes import existing_job
from services.control.rest.etag import TAGGED, IfMatch
from services.control.rest.problem import Problem, bad_value, responses
from services.control.sessions import routes as sessions
from services.control.storage.tables import JobRow

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_EXAMPLES: dict[str, Any] = {
    "asked for": {"summary": "To the session that the job was asked for", "value": {}},
    "another": {"summary": "To another session", "value": {"session": "m2"}},
}


@router.post(
    "/{job_id}/deploy",
    summary="Deploy a job's decoder",
    responses=responses(404, 409, 412, 422, 500, 503, 504) | TAGGED,
)
async def deploy_job(
    job_id: str,
    control: ControlDep,
    expected: IfMatch,
    response: Response,
    where: Annotated[Deployment, Body(openapi_examples=_EXAMPLES)] = Deployment(),  # noqa: B008 - it is frozen
) -> SessionStatus:
    """Give a job's decoder to a session, by hot swap if it runs; the answer is the session's status.

    The same as `PATCH` of that session, and noted in the job's result.
    """
    row = await _finished(control, job_id)
    name = where.session or row.request.get("session")
    if name is None:
        raise bad_value("session", "the job was asked for no session; name the one that shall decode", None)
    if (decoder := _result(row).get("decoder")) is None:
        raise Problem(409, f"job {job_id!r} is of kind {row.kind!r} and has made no decoder", kind=row.kind)
    change = SessionChange(decoder=decoder)
    status = await sessions.change_session(name, change, control, expected, response)
    await _note(control, row, deployed={"session": name, "revision": status.revision})
    return status


@router.post("/{job_id}/discard", summary="Discard a job's decoder", responses=responses(404, 409))
async def discard_job(job_id: str, control: ControlDep) -> JobInfo:
    """Remove what a job that is done has made: its decoder, and what it has collected or exported.

    Repeating it changes nothing. A decoder that a session uses is not discarded. The recording stays if a decoder was
    trained on it since.
    """
    row = await existing_job(control, job_id)
    if row.state == "done" and "discarded" in (row.result or {}):
        return control.jobs.info(row)
    row = await _finished(control, job_id)
    result, removed = _result(row), []
    decoder = result.get("decoder")
    if decoder is not None and await run_in_threadpool(control.store.decoder, decoder) is not None:
        await run_in_threadpool(control.library.remove, decoder)
        removed.append(decoder)
    recording = result.get("recording")
    if recording is not None and not await run_in_threadpool(control.job_store.trained_on, recording):
        try:
            await control.recordings.remove(recording)
            removed.append(recording)
        except Problem as problem:
            if problem.status != 404:  # somebody else has removed it
                raise
    return control.jobs.info(await _note(control, row, discarded=removed))


def _result(row: JobRow) -> dict[str, Any]:
    assert row.result is not None
    return row.result


async def _finished(control: Control, job_id: str) -> JobRow:
    """A job that is done, and whose result was not discarded."""
    row = await existing_job(control, job_id)
    if row.state != "done":
        raise Problem(
            409,
            f"job {job_id!r} is {row.state}; only one that is done has a result",
            state=row.state,
            allowed=["done"],
        )
    if "discarded" in _result(row):
        raise Problem(409, f"what job {job_id!r} has made was discarded; ask for it again")
    return row


async def _note(control: Control, row: JobRow, **noted: Any) -> JobRow:
    result = _result(row) | noted
    changed = await run_in_threadpool(lambda: control.job_store.change(row.id, ("done",), result=result))
    assert changed is not None
    return changed
