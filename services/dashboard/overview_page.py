"""The overview: streams, sessions, decoders and jobs on one page."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from services.dashboard import PATH
from services.dashboard.decoders_table import DecodersTable
from services.dashboard.jobs_table import JobsTable
from services.dashboard.overview import Overview
from services.dashboard.sessions_table import SessionsTable
from services.dashboard.site import Site, page_frame
from services.dashboard.streams_table import StreamsTable

_REFRESH_S = 1.0
_UPLOAD = """<form id="upload" class="upload"><label for="bundle">Upload a decoder (.bmi)</label>
<input id="bundle" type="file" accept=".bmi,.zip"><output id="upload-said" role="status"></output></form>"""


def register(site: Site) -> None:
    """Add the page."""
    overview = Overview(site.watch)

    @ui.page("/")
    async def overview_page(request: Request) -> None:
        rest = site.rest(request)
        with page_frame(request, "Overview"):
            ui.html("<h1>Overview</h1>", sanitize=False)
            with _section("Streams", "LSL streams that are visible to this machine now"):
                streams = StreamsTable(rest)
            with _section("Sessions", "what is decoded, and how it fares"):
                sessions = SessionsTable(rest)
            with _section("Decoders", "what streams can be decoded with"):
                decoders = DecodersTable(rest)
                ui.html(_UPLOAD, sanitize=False)
            with _section("Jobs", "training and other long work, newest first"):
                jobs = JobsTable(rest)
        ui.add_body_html(f'<script type="module" src="{PATH}/static/overview.js"></script>')

        async def refresh() -> None:
            now = await overview.snapshot(site.lives.control)
            streams.update(now)
            sessions.update(now)
            decoders.update(now)
            jobs.update(now.jobs)

        await refresh()
        ui.timer(_REFRESH_S, refresh)


def _section(title: str, about: str) -> ui.element:
    section = ui.element("section").classes("panel").props(f'aria-label="{title}"')
    with section:
        ui.html(f"<h2>{title}</h2><p>{about}</p>", sanitize=False).classes("heading")
    return section
