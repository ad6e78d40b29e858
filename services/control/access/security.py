"""Who may send requests: bearer tokens and their scopes, and protection of the loopback interface from web pages.

A web page in a browser on the same machine can send requests to 127.0.0.1. It gives itself away by the
Host header after DNS rebinding, and by the Origin header otherwise.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from bmi_decoder.errors import BmiError
from services.control.access.tokens import scope_of
from services.control.rest.problem import Problem, problem_response
from services.control.settings import LOOPBACK_NAMES, TOKEN_VARIABLE, ControlSettings
from services.dashboard import PATH as DASHBOARD
from services.dashboard.login import COOKIE, LOGIN, ask_to_sign_in

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_GUARDED = ("/v1", "/metrics", DASHBOARD)


class Guard:
    """ASGI middleware that turns unwelcome requests away before their body is read.

    Parameters
    ----------
    app : ASGIApp
    settings : ControlSettings
    """

    def __init__(self, app: ASGIApp, settings: ControlSettings) -> None:
        self._app = app
        self._file = settings.token_file
        self._own = settings.own_tokens
        self._hosts = LOOPBACK_NAMES | {settings.host.lower()} if settings.is_loopback else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] in ("http", "websocket"):
            problem = self._problem(scope)
            if problem is not None and problem.status == 401 and _is_page(scope):
                await ask_to_sign_in(scope["path"])(scope, receive, send)
                return
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
        path = scope["path"]
        is_dashboard = _below(path, DASHBOARD)
        # What stands behind the dashboard's pages would answer to any origin.
        if foreign and (scope.get("method") not in _READING or is_dashboard):
            return Problem(403, f"pages of {origin} may not change anything here; use the service's own pages")
        if path != LOGIN and any(_below(path, guarded) for guarded in _GUARDED):
            # Its pages change things over REST, with the token of who looks at them.
            return self._refusal(headers, "GET" if is_dashboard else scope.get("method"))
        return None

    def _refusal(self, headers: Headers, method: str | None) -> Problem | None:
        """Why a token, or none, is not enough for this."""
        try:
            tokens = self._own + self._file.tokens()
        except BmiError as error:
            return Problem(503, str(error))
        # One that other machines can reach stays shut when its last token is removed.
        if not tokens and self._hosts is not None:
            return None
        scope = scope_of(_presented(headers), tokens)
        if scope is None:
            return Problem(
                401,
                "send the header 'Authorization: Bearer TOKEN' with a token of this server: one that 'bmi-decoder "
                f"token add' has printed, or its ${TOKEN_VARIABLE}",
            )
        if scope == "read" and method not in _READING:
            return Problem(
                403, "this token may look (scope read) and not change anything; it takes one of scope control"
            )
        return None


def _presented(headers: Headers) -> str:
    """What was sent as token: by a program in a header, by a browser that has signed in as a cookie."""
    if "authorization" in headers:
        kind, _, token = headers["authorization"].partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _is_page(scope: Scope) -> bool:
    """Whether a person has asked for a page of the dashboard."""
    wants_html = "text/html" in Headers(scope=scope).get("accept", "")
    return scope["type"] == "http" and scope["method"] == "GET" and wants_html and _below(scope["path"], DASHBOARD)


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
