"""The dashboard as a FastAPI application: NiceGUI pages, the live websocket, and the browser's files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from nicegui import ui

from services.control.settings import ControlSettings
from services.dashboard import calibrate_page, job_page, overview_page, session_page
from services.dashboard.overview import Overview
from services.dashboard.site import Site
from services.dashboard.socket import LiveSessions
from services.dashboard.streams import StreamWatch

_MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1d4ed8"/>'
    '<path d="M4 18h5l3-9 5 15 4-11 2 5h5" fill="none" stroke="#fff" stroke-width="2.4" stroke-linejoin="round"/></svg>'
)


def create_dashboard(control_app: FastAPI, settings: ControlSettings) -> FastAPI:
    """The application to mount at `services.dashboard.PATH`; once in a process, as NiceGUI is one per process.

    Parameters
    ----------
    control_app : FastAPI
        The control plane, which is running.
    settings : ControlSettings
    """
    watch = StreamWatch()
    lives = LiveSessions(control_app, watch)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await lives.close()
        await watch.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=str(files("services.dashboard") / "static")), name="static")

    @app.websocket("/sessions/{name}/live")
    async def live(websocket: WebSocket, name: str) -> None:
        await lives.show(name, websocket)

    site = Site(control_app, settings, lives, watch)
    overview = Overview(watch)
    overview_page.register(site, overview)
    calibrate_page.register(site, overview)
    session_page.register(site)
    job_page.register(site)
    ui.run_with(
        app,
        title="bmi-decoder",
        favicon=_MARK,
        dark=None,
        binding_refresh_interval=None,
        tailwind=False,
        show_welcome_message=False,
        message_history_length=100,
    )
    return app
