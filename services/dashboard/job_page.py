"""The page of one job: what it does, what has come of it, and what becomes of that."""

from __future__ import annotations

from html import escape

from fastapi import Request
from nicegui import background_tasks, ui

from bmi_decoder.jobs import JobInfo
from services.dashboard import PATH
from services.dashboard.job_progress import JobProgress
from services.dashboard.job_result import JobResult
from services.dashboard.rest import RefusedError
from services.dashboard.site import Site, link, page_frame

ENDED = ("done", "failed", "cancelled")


def register(site: Site) -> None:
    """Add the page."""

    @ui.page("/jobs/{job_id}")
    async def job_page(request: Request, job_id: str) -> None:
        rest, events = site.rest(request), site.lives.control.events
        path = f"/v1/jobs/{job_id}"
        known = events.kept()
        with page_frame(request, f"Job {job_id}"):
            try:
                job = JobInfo.model_validate(await rest.get(path))
            except RefusedError as error:
                ui.html(f"<h1>No job</h1><p>{escape(str(error))}</p>", sanitize=False)
                link("Back to the overview", f"{PATH}/")
                return
            progress, result = JobProgress(rest, job), JobResult(rest)

        async def show() -> JobInfo:
            job = JobInfo.model_validate(await rest.get(path))
            progress.update(job)
            await result.update(job)
            return job

        async def follow() -> None:
            if (await show()).state in ENDED:
                return
            async for event in events.follow(known[-1].id if known else None):
                about = getattr(event, "job", job_id)
                if about == job_id and (await show()).state in ENDED:
                    return

        following = background_tasks.create(follow(), name=f"page of job {job_id}")
        ui.context.client.on_delete(following.cancel)
