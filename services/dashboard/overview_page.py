"""The overview: streams, sessions, decoders, recordings and jobs on one page."""

from __future__ import annotations

from string import Template

from fastapi import Request
from nicegui import ui

from services.control.recordings.library import SUFFIXES
from services.dashboard import PATH
from services.dashboard.decoders_table import DecodersTable
from services.dashboard.jobs_table import JobsTable
from services.dashboard.overview import Overview
from services.dashboard.recordings_table import RecordingsTable
from services.dashboard.sessions_table import SessionsTable
from services.dashboard.site import Site, page_frame, section
from services.dashboard.streams_table import StreamsTable

_REFRESH_S = 1.0
_UPLOAD = """<form class="upload" data-path="$path"><label for="upload-$what">$label</label>
<input id="upload-$what" type="file" accept="$accept"><output role="status"></output></form>"""


def register(site: Site, overview: Overview) -> None:
    """Add the page."""

    @ui.page("/")
    async def overview_page(request: Request) -> None:
        rest = site.rest(request)
        with page_frame(request, "Overview"):
            ui.html("<h1>Overview</h1>", sanitize=False)
            with section("Streams", "LSL streams that are visible to this machine now"):
                streams = StreamsTable(rest)
            with section("Sessions", "what is decoded, and how it fares"):
                sessions = SessionsTable(rest)
            with section("Decoders", "what streams can be decoded with"):
                decoders = DecodersTable(rest)
                _upload("decoder", "/v1/decoders", "Upload a decoder (.bmi)", ".bmi,.zip")
            with section("Recordings", "what decoders can be trained on, newest first"):
                recordings = RecordingsTable(rest)
                _upload("recording", "/v1/recordings", "Upload a recording", ",".join(SUFFIXES))
            with section("Jobs", "training and other long work, newest first"):
                jobs = JobsTable(rest)
        ui.add_body_html(f'<script type="module" src="{PATH}/static/overview.js"></script>')

        async def refresh() -> None:
            now = await overview.snapshot(site.lives.control)
            streams.update(now)
            sessions.update(now)
            decoders.update(now)
            recordings.update(now.recordings)
            jobs.update(now.jobs)

        await refresh()
        ui.timer(_REFRESH_S, refresh)


def _upload(what: str, path: str, label: str, accept: str) -> None:
    ui.html(Template(_UPLOAD).substitute(what=what, path=path, label=label, accept=accept), sanitize=False)
