"""The page of one session: its pictures are drawn in the browser, its controls act over REST."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlencode

from fastapi import Request
from nicegui import ui

from services.dashboard import PATH
from services.dashboard.mask_control import MaskControl
from services.dashboard.recording_control import RecordingControl
from services.dashboard.session_controls import SessionControls
from services.dashboard.site import Site, link, page_frame

_LOOK_S = 1.0


def register(site: Site) -> None:
    """Add the page."""
    panels = Template((files("services.dashboard") / "static" / "session.html").read_text("utf-8"))

    @ui.page("/sessions/{name}")
    async def session_page(request: Request, name: str) -> None:
        rest = site.rest(request)
        known = {row.name for row in site.lives.control.store.sessions()}
        with page_frame(request, f"Session {name}"):
            if name not in known:
                ui.html(f"<h1>No session {escape(name)}</h1>", sanitize=False)
                link("Back to the overview", f"{PATH}/")
                return
            with ui.element("div").classes("session-head"):
                ui.html(
                    f'<h1>{escape(name)} <span id="state" class="badge" role="status">…</span></h1>'
                    '<p id="message" class="quiet" role="status"></p>',
                    sanitize=False,
                )
                with ui.element("div").classes("acts"):
                    controls = SessionControls(rest, name)
                    with ui.element("div").classes("controls"):
                        recording = RecordingControl(rest, name)
                        mask = MaskControl(rest, name)
                        link("Calibrate a decoder for it", f"{PATH}/calibrate?{urlencode({'session': name})}")
            ui.html(panels.substitute(name=escape(name)), sanitize=False).classes("grid-host")
        ui.add_body_html(f'<script type="module" src="{PATH}/static/session.js"></script>')

        def look() -> None:
            now = site.lives.now(name)
            if now is not None:
                controls.update(now.status, now.decoders)
                mask.update(now.status)
                recording.update(now.recorder, now.truth)

        ui.timer(_LOOK_S, look)
