"""Who may send requests: the bearer token, and protection of the loopback interface from web pages.

A web page in a browser on the same machine can send requests to 127.0.0.1. It gives itself away by the
Host header after DNS rebinding, and by the Origin header otherwise.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.control.problem import Problem, problem_response
from services.control.settings import LOOPBACK_NAMES, TOKEN_VARIABLE, ControlSettings

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_GUARDED = ("/v1", "/metrics")


class Guard:
    """ASGI middleware that turns unwelcome requests away before their body is read.

    Parameters
    ----------
    app : ASGIApp
    settings : ControlSettings
    """

    def __init__(self, app: ASGIApp, settings: ControlSettings) -> None:
        self._app = app
        self._secret = settings.secret
        self._hosts = LOOPBACK_NAMES | {settings.host.lower()} if settings.is_loopback else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] in ("http", "websocket"):
            problem = self._problem(scope)
            if problem is not None:
                headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
                await problem_response(problem, scope["path"], headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return Problem(
                400,
                f"Host {host!r} does not name the loopback interface; use http://127.0.0.1 or http://localhost",
            )
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if foreign and scope.get("method") not in _READING:
            return Problem(403, f"pages of {origin} may not change anything here; use the service's own pages")
        path = scope["path"]
        if self._secret is not None and any(path == guarded or path.startswith(f"{guarded}/") for guarded in _GUARDED):
            kind, _, token = headers.get("authorization", "").partition(" ")
            matches = hmac.compare_digest(token.strip().encode(), self._secret.encode())
            if kind.lower() != "bearer" or not matches:
                return Problem(
                    401, f"send the header 'Authorization: Bearer TOKEN' with the server's ${TOKEN_VARIABLE}"
                )
        return None


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
