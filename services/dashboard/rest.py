"""How the pages act: through the control plane's own REST interface, as any other program does."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI

from bmi_decoder.errors import BmiError


class RefusedError(BmiError):
    """REST has refused a request; the message is the answer's detail."""


class Rest:
    """Sends requests to the application in this process, with the rights of one page's user.

    Parameters
    ----------
    app : FastAPI
        The control plane.
    token : str, optional
        What the user has signed in with.
    """

    def __init__(self, app: FastAPI, token: str | None) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://127.0.0.1",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=None,
        )

    async def get(self, path: str) -> Any:
        """The JSON at `path`.

        Raises
        ------
        RefusedError
        """
        return await self._send("GET", path)

    async def post(self, path: str, body: Any = None) -> Any:
        """Act.

        Raises
        ------
        RefusedError
        """
        return await self._send("POST", path, body)

    async def patch(self, path: str, body: Any, if_match: str | None = None) -> Any:
        """Change; with `if_match` only what has this ETag still.

        Raises
        ------
        RefusedError
        """
        return await self._send("PATCH", path, body, {} if if_match is None else {"If-Match": if_match})

    async def delete(self, path: str) -> None:
        """Remove.

        Raises
        ------
        RefusedError
        """
        await self._send("DELETE", path)

    async def _send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        answer = await self._http.request(method, path, json=body, headers=headers)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            detail = str(answer.json()["detail"])
        except (ValueError, KeyError, TypeError):
            detail = f"{method} {path} was answered with {answer.status_code}"
        raise RefusedError(detail)


def session_path(name: str) -> str:
    """Of a session in REST."""
    return f"/v1/sessions/{quote(name, safe='')}"
