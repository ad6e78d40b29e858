"""How far a job has come, and what it has collected so far."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from bmi_decoder.jobs import JobInfo
from services.dashboard.rest import RefusedError, Rest
from services.dashboard.site import button, show_refusal

COLOURS = {"queued": "searching", "running": "starting", "done": "running", "cancelled": "stopped"}
"""A job's state as the session state whose colour it has."""

_TITLES = {"calibrate": "Calibration", "train": "Training", "export": "Export"}


class JobProgress:
    """Heading, bar and figures.

    Parameters
    ----------
    rest : Rest
    job : JobInfo
    """

    def __init__(self, rest: Rest, job: JobInfo) -> None:
        self._rest, self._path = rest, f"/v1/jobs/{job.id}"
        with ui.element("div").classes("session-head"):
            with ui.element("div"):
                with ui.element("h1"):
                    ui.label(_title(job)).classes("inline")
                    self._state = ui.label().classes("badge").props('id="job-state" role="status"')
                self._about = ui.label(_about(job)).classes("quiet")
            self._cancel = button("Cancel", self._end, label=f"Cancel job {job.id}")
        with ui.element("section").classes("panel").props('aria-label="Progress"'):
            with ui.element("div").classes("pair"):
                self._bar = ui.element("progress").props('max=1 value=0 aria-label="Progress"').classes("long")
                self._share = ui.label().classes("strong")
            self._message = ui.label().classes("message").props('id="job-message" role="status"')
            with (
                ui.element("div").classes("figures counts").props('role="group" aria-label="Collected"') as self._counts
            ):
                self._figures = {
                    name: _figure(name, f"count-{name.lower()}", unit)
                    for name, unit in (("Usable", "bins"), ("Lost", "bins"), ("Unusable", "bins"), ("Left", "s"))
                }
        self._shown: JobInfo | None = None

    def update(self, job: JobInfo) -> None:
        """Show a job as it is now."""
        former, self._shown = self._shown, job
        if former is None or former.state != job.state:
            self._state.set_text(job.state)
            self._state.classes(replace=f"badge is-{COLOURS.get(job.state, job.state)}")
            self._cancel.set_visibility(job.state in ("queued", "running"))
        self._bar.props(f"value={job.progress:.3f}")
        self._share.set_text(f"{job.progress:.0%}")
        self._message.set_text(job.error or _said(job))
        self._message.classes(add="bad" if job.error else "")
        counted = (job.result or {}).get("collected") or (job.details if "usable" in job.details else None)
        self._counts.set_visibility(job.kind == "calibrate" and job.state not in ("cancelled", "failed"))
        if counted is not None:
            self._show_counts(counted, job.state == "done")

    def _show_counts(self, counted: dict[str, Any], ended: bool) -> None:
        unusable = counted["unusable"]
        left = 0.0 if ended else float(counted.get("seconds_left", 0.0))
        shown = {"Usable": counted["usable"], "Lost": counted["lost"], "Unusable": sum(unusable.values()), "Left": left}
        for name, value in shown.items():
            self._figures[name].set_text(f"{value:.0f}" if name == "Left" else f"{value:,}")
        self._figures["Unusable"].props["title"] = ", ".join(f"{n:,} {why}" for why, n in unusable.items())

    async def _end(self) -> None:
        self._cancel.disable()
        try:
            await self._rest.post(f"{self._path}/cancel")
        except RefusedError as error:
            show_refusal(error)
        finally:
            self._cancel.enable()


def _figure(name: str, element_id: str, unit: str) -> ui.label:
    with ui.element("div"):
        ui.label(name).classes("name")
        value = ui.label("–").classes("value").props(f'id="{element_id}"')
        ui.label(unit).classes("unit")
    return value


def _title(job: JobInfo) -> str:
    decoder = job.request.get("decoder")
    return _TITLES[job.kind] + (f": {decoder}" if decoder else "")


def _about(job: JobInfo) -> str:
    """What was asked for."""
    asked = job.request
    if job.kind == "calibrate":
        source = f"{asked['seconds']:g} s of {asked['neural']['name']} and {asked['kinematics']['name']}"
    else:
        source = f"recording {asked['recording'][:8]}"
    session = asked.get("session")
    return f"on {source}" + (f", compared with session {session}" if session else "") + f" · job {job.id}"


def _said(job: JobInfo) -> str:
    if job.state == "cancelled":
        return "Cancelled; nothing was kept."
    if job.state == "queued":
        return "Waits for another job of its kind."
    return job.message
