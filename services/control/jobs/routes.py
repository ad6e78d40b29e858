"""Routes for jobs: ask for work that takes long, look at it, cancel it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.concurrency import run_in_threadpool

from bmi_decoder.jobs import JobInfo, JobRequest
from services.control.context import Control, ControlDep
from services.control.rest.paging import LINK, Page, PageDep, one_page
from services.control.rest.problem import Problem, not_found, responses
from services.control.storage.tables import JobRow

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_SMALL = {"kind": "train", "recording": "60303ae22b998861", "decoder": "lstm"}
_FULL = _SMALL | {
    "overrides": {"hidden": 64, "epochs": 40},
    "input_filter": {"variant": "low_latency", "cutoff_hz": 6.25},
}
_CALIBRATE = {
    "kind": "calibrate",
    "neural": {"name": "M1"},
    "kinematics": {"name": "M1-kinematics"},
    "seconds": 60,
    "decoder": "snn_streaming",
    "session": "m1",
}
_EXPORT = {
    "kind": "export",
    "recording": "60303ae22b998861",
    "to": "nwb",
    "species": "Macaca mulatta",
    "sex": "F",
    "age": "P6Y",
}
NewJob = Annotated[
    JobRequest,
    Body(
        openapi_examples={
            "train": {"summary": "Train with everything by default", "value": _SMALL},
            "train otherwise": {"summary": "Train with other settings", "value": _FULL},
            "calibrate": {
                "summary": "Collect for a minute, train, compare",
                "value": _CALIBRATE,
            },
            "export": {"summary": "Write a recorded session as NWB", "value": _EXPORT},
        }
    ),
]


@router.post("", status_code=202, summary="Ask for a job", responses=responses(422, 501))
async def create_job(request: NewJob, control: ControlDep, response: Response) -> JobInfo:
    """Queue a job. It runs in a process of its own at low priority, one job of each kind at a time.

    `train`: the result is a stored decoder. `calibrate`: from two live streams; they are looked at first, which takes a
    few seconds, and the result is a stored recording too. Both need the training extra where the control plane runs.
    `export`: the result is a stored recording in the other format.
    """
    job = await control.jobs.submit(request)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job


@router.get("", summary="List jobs", responses=responses(422) | LINK)
async def list_jobs(control: ControlDep, page: PageDep, request: Request, response: Response) -> list[JobInfo]:
    """All jobs, newest first."""
    rows = await run_in_threadpool(control.job_store.page, page)
    return [control.jobs.info(row) for row in one_page(page, rows, ("created_at", "id"), request, response)]


@router.get("/{job_id}", summary="Look at a job", responses=responses(404))
async def get_job(job_id: str, control: ControlDep) -> JobInfo:
    """One job: its progress, and its result or error."""
    return control.jobs.info(await existing_job(control, job_id))


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=responses(404, 409))
async def cancel_job(job_id: str, control: ControlDep) -> JobInfo:
    """Cancel a job that has not ended, and wait until nothing is left of it; repeating it changes nothing."""
    await existing_job(control, job_id)
    row = await control.jobs.cancel(job_id)
    if row is None:
        state = (await existing_job(control, job_id)).state
        raise Problem(
            409, f"job {job_id!r} is {state} and cannot be cancelled", state=state, allowed=["queued", "running"]
        )
    return control.jobs.info(row)


async def existing_job(control: Control, job_id: str) -> JobRow:
    """A job.

    Raises
    ------
    Problem
        404 if there is none of that id.
    """
    row = await run_in_threadpool(control.job_store.job, job_id)
    if row is None:
        newest = await run_in_threadpool(control.job_store.page, Page(20))
        raise not_found("job", job_id, (known.id for known in newest))
    return row
