"""Jobs: what is being worked on, and how far it has come."""

from __future__ import annotations

from nicegui import ui

from bmi_decoder.jobs import JobInfo
from services.dashboard import PATH
from services.dashboard.job_progress import COLOURS
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.rows import Cell, KeyedTable, StateCell
from services.dashboard.site import button, link, show_refusal


class JobsTable:
    """The table of jobs.

    Parameters
    ----------
    rest : Rest
    """

    def __init__(self, rest: Rest) -> None:
        self._table: KeyedTable[JobInfo] = KeyedTable(
            "Jobs",
            ("Job", "State", "Progress", "Message", "Asked for", "Actions"),
            "No job yet. Calibrate, or train on a recording.",
            lambda job: job.id,
            lambda job: _JobRow(rest, job),
        )

    def update(self, jobs: list[JobInfo]) -> None:
        """Show these."""
        self._table.update(jobs)


class _JobRow:
    def __init__(self, rest: Rest, job: JobInfo) -> None:
        self._rest, self._id = rest, job.id
        with ui.element("td"):
            link(f"{job.kind} {job.request.get('decoder', '')}".strip(), f"{PATH}/jobs/{job.id}").classes("strong")
            ui.label(job.id).classes("quiet")
        self._state = StateCell()
        with ui.element("td"), ui.element("div").classes("pair"):
            self._bar = ui.element("progress").props(f'max=1 value=0 aria-label="Progress of job {job.id}"')
            self._share = ui.label()
        self._message, self._created = Cell(), Cell()
        with ui.element("td").classes("action"):
            self._cancel = button("Cancel", self._end, label=f"Cancel job {job.id}")

    def update(self, job: JobInfo) -> None:
        self._state.show(job.state, kind=COLOURS.get(job.state, ""))
        share = f"{job.progress:.0%}"
        if self._share.text != share:
            self._bar.props(f"value={job.progress:.3f}")
            self._share.set_text(share)
        self._message.show(job.error or job.message)
        day, _, time_of_day = job.created_at.partition("T")
        self._created.show(day, f"{time_of_day[:5]} UTC")
        self._cancel.set_visibility(job.state in ("queued", "running"))

    async def _end(self) -> None:
        try:
            await self._rest.post(f"/v1/jobs/{self._id}/cancel")
        except RefusedError as error:
            show_refusal(error)
