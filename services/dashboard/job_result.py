"""What a job has made: how good it is, and what becomes of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from nicegui import ui

from bmi_decoder.jobs import JobInfo
from services.dashboard import PATH
from services.dashboard.choice import Choice
from services.dashboard.one_click import decode_stream
from services.dashboard.r2_table import r2_table
from services.dashboard.rest import RefusedError, Rest, session_path
from services.dashboard.site import button, confirmed, link, section, show_refusal


class JobResult:
    """Is empty until the job is done.

    Parameters
    ----------
    rest : Rest
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._place = ui.element("div")
        self._job: JobInfo | None = None

    async def update(self, job: JobInfo) -> None:
        """Show what came of it, anew where that has changed."""
        if job.state != "done" or job.result is None or (self._job is not None and self._job.result == job.result):
            return
        self._job = job
        self._place.clear()
        with self._place:
            if "metrics" in job.result:
                with section("Result", "R² on bins that it was not trained on"):
                    r2_table(job.result)
            sessions = [status["name"] for status in await self._rest.get("/v1/sessions")]
            with section("Decide", "what becomes of it"), ui.element("div").classes("pair decide"):
                self._show_actions(job, job.result, sessions)

    def _show_actions(self, job: JobInfo, result: dict[str, Any], sessions: list[str]) -> None:
        if "discarded" in result:
            ui.label("Discarded.").props('role="status"')
            return
        if "deployed" in result:
            deployed = result["deployed"]
            text = f"Deployed to session {deployed['session']} as revision {deployed['revision']}."
            ui.label(text).props('role="status"')
            link(f"Watch session {deployed['session']}", f"{PATH}/sessions/{deployed['session']}")
        elif "decoder" in result and sessions:
            asked = job.request.get("session") or sessions[0]
            chosen = Choice("Session", {name: name for name in sessions}, asked).classes("session")
            button("Deploy", lambda: self._deploy(chosen), primary=True)
        if job.kind == "calibrate" and "deployed" not in result:
            stream = job.request["neural"]
            button(f"Decode {stream['name']} with it", lambda: self._decode(stream), primary=not sessions)
        if "deployed" not in result:
            button("Discard", self._discard)
        if job.kind == "export":
            link("Download", f"/v1/recordings/{result['recording']}/file")
        if "recording" in result:
            link("Train on the recording", f"{PATH}/calibrate?{urlencode({'recording': result['recording']})}")

    async def _deploy(self, chosen: Choice) -> None:
        assert self._job is not None
        try:
            session = chosen.required()
        except RefusedError as error:
            show_refusal(error)
            return
        await self._act(f"/v1/jobs/{self._job.id}/deploy", {"session": session})

    async def _discard(self) -> None:
        assert self._job is not None
        made = "the exported file" if self._job.kind == "export" else "the decoder, and what was collected for it"
        if await confirmed(f"Discard {made}? This cannot be undone.", "Discard"):
            await self._act(f"/v1/jobs/{self._job.id}/discard")

    async def _decode(self, stream: dict[str, Any]) -> None:
        assert self._job is not None and self._job.result is not None
        wanted = {name: stream[name] for name in ("name", "type", "source_id") if stream.get(name)}
        try:
            name = await decode_stream(self._rest, wanted, self._job.result["decoder"])
        except RefusedError as error:
            show_refusal(error)
            return
        ui.navigate.to(session_path(name).removeprefix("/v1"))

    async def _act(self, path: str, body: Any = None) -> None:
        assert self._job is not None
        try:
            await self._rest.post(path, body)
        except RefusedError as error:
            show_refusal(error)
        await self.update(JobInfo.model_validate(await self._rest.get(f"/v1/jobs/{self._job.id}")))
