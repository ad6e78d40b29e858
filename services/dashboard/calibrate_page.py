"""The page that asks for a decoder: from two live streams, or from a stored recording."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from services.dashboard.calibrate_form import CalibrateForm, Wanted
from services.dashboard.overview import Overview
from services.dashboard.site import Site, page_frame

_LOOK_S = 1.0


def register(site: Site, overview: Overview) -> None:
    """Add the page."""

    @ui.page("/calibrate")
    async def calibrate_page(request: Request, neural: str = "", session: str = "", recording: str = "") -> None:
        with page_frame(request, "Calibrate"):
            ui.html(
                "<h1>Calibrate</h1><p class='quiet'>Collect spike counts and movement, or take a recording; train a "
                "decoder on them; see what it reaches; then deploy or discard it.</p>",
                sanitize=False,
            )
            form = CalibrateForm(site.rest(request), Wanted(neural, session, recording))

        async def look() -> None:
            form.update(await overview.snapshot(site.lives.control))

        await look()
        ui.timer(_LOOK_S, look)
