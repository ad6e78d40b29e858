"""Where the dashboard hangs in the control plane: loaded with its first page, closed with the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from services.dashboard import PATH
from services.dashboard.login import login_route

if TYPE_CHECKING:
    from services.control.settings import ControlSettings


class Dashboard:
    """ASGI application that loads what it consists of when the first request comes.

    Loading takes a second. Sessions that come back after a crash do not wait for it, and a control plane on which
    nobody looks does without.

    Parameters
    ----------
    control_app : FastAPI
        The control plane that it shows, and asks over REST.
    settings : ControlSettings
    """

    def __init__(self, control_app: FastAPI, settings: ControlSettings) -> None:
        self._control_app, self._settings = control_app, settings
        self._app: FastAPI | None = None
        self._loading = asyncio.Lock()
        self._open = AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        app = self._app or await self._load()
        await app(scope, receive, send)

    async def close(self) -> None:
        """End what runs behind the pages."""
        await self._open.aclose()

    async def _load(self) -> FastAPI:
        async with self._loading:
            if self._app is None:
                app = await asyncio.to_thread(_build, self._control_app, self._settings)
                await self._open.enter_async_context(app.router.lifespan_context(app))
                self._app = app
            return self._app


def _build(control_app: FastAPI, settings: ControlSettings) -> FastAPI:
    from services.dashboard.application import create_dashboard

    return create_dashboard(control_app, settings)


def install(app: FastAPI, settings: ControlSettings) -> None:
    """Add the dashboard to a control plane."""
    dashboard = Dashboard(app, settings)
    app.include_router(login_route(settings))
    app.mount(PATH, dashboard, name="dashboard")
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        async with inner(application):
            try:
                yield
            finally:
                await dashboard.close()

    app.router.lifespan_context = lifespan
