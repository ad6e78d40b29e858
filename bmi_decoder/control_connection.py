"""Requests to a control plane, and what becomes of its refusals."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter

from bmi_decoder.errors import BmiError

Item = TypeVar("Item")


class ControlError(BmiError):
    """The control plane refused a request, or cannot be reached.

    Attributes
    ----------
    status : int or None
        HTTP status; None if there was no answer.
    problem : dict
        The whole problem+json body, empty if there was none.
    """

    def __init__(self, message: str, status: int | None = None, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem or {}


class ControlConnection:
    """Connections to one control plane, for `ControlClient`.

    Parameters
    ----------
    url : str
    token : str or None
    timeout_s : float
        Longest wait for an answer.
    """

    def __init__(self, url: str, token: str | None, timeout_s: float) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _list(self, path: str, model: type[Item]) -> list[Item]:
        """All pages of a list."""
        items: list[Item] = []
        while path:
            answer = self._request("GET", path)
            items += TypeAdapter(list[model]).validate_json(answer.content)  # type: ignore[valid-type]
            path = answer.links.get("next", {}).get("url", "")
        return items

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._no_answer(error) from None
        if answer.is_success:
            return answer
        raise self._refusal(answer, method, path)

    def _no_answer(self, error: Exception) -> ControlError:
        return ControlError(
            f"no answer from the control plane at {self._http.base_url}: {error}; is bmi-decoder serve running?"
        )

    def _refusal(self, answer: httpx.Response, method: str, path: str) -> ControlError:
        try:
            problem = answer.json()
            return ControlError(str(problem["detail"]), answer.status_code, problem)
        except (ValueError, KeyError, TypeError):
            return ControlError(
                f"{self._http.base_url} answered {answer.status_code} to {method} {path}, which is not "
                "an answer of a control plane; is the address right?",
                answer.status_code,
            )
