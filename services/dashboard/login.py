"""The page that asks for the token, and keeps it in a cookie that only this server receives."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.control.access.tokens import scope_of
from services.dashboard import PATH

if TYPE_CHECKING:
    from services.control.settings import ControlSettings

LOGIN = f"{PATH}/login"
COOKIE = "bmi_token"
_DAYS = 30
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in - bmi-decoder</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 0 }}
form {{ display: grid; gap: .8rem; width: 22rem }} h1 {{ font-size: 1.3rem; margin: 0 }}
input, button {{ font: inherit; padding: .5rem .7rem }} .error {{ color: #dc2626; margin: 0 }}
</style></head><body><form method="post" action="{action}"><h1>bmi-decoder</h1>{error}
<label for="token">Token for this server</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input name="after" type="hidden" value="{after}">
<button type="submit">Sign in</button></form></body></html>"""


def login_route(settings: ControlSettings) -> APIRouter:
    """The route of the sign-in page."""
    router = APIRouter(include_in_schema=False)
    file = settings.token_file

    @router.get(LOGIN)
    def ask(after: Annotated[str, Query(max_length=512)] = "") -> HTMLResponse:
        return _page(after)

    @router.post(LOGIN)
    def sign_in(
        request: Request,
        token: Annotated[str, Form(max_length=1024)],
        after: Annotated[str, Form(max_length=512)] = "",
    ) -> Response:
        if scope_of(token.strip(), settings.own_tokens + file.tokens()) is None:
            return _page(after, "That is not a token of this server.", 401)
        answer = RedirectResponse(_own_path(after), 303)
        answer.set_cookie(
            COOKIE,
            token.strip(),
            max_age=_DAYS * 86400,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    return router


def ask_to_sign_in(path: str) -> Response:
    """Send a browser to the sign-in page, and from there to `path`."""
    return RedirectResponse(f"{LOGIN}?after={quote(path, safe='')}", 303)


def _page(after: str, error: str = "", status: int = 200) -> HTMLResponse:
    shown = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    text = _PAGE.format(action=LOGIN, error=shown, after=escape(_own_path(after)))
    return HTMLResponse(text, status, {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})


def _own_path(after: str) -> str:
    """The page that was asked for, if it is one of ours."""
    parts = urlsplit(after)
    own = not parts.scheme and not parts.netloc and parts.path.startswith(f"{PATH}/") and "\\" not in after
    return after if own and after.isascii() and after.isprintable() else f"{PATH}/"
