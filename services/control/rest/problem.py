"""Every error as RFC 9457 problem+json: what was wrong, what was got, what is allowed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from bmi_decoder.errors import InputError
from services.control.rest.validation import FieldError, body_model, field_errors, summary
from services.control.storage.database import DatabaseTakenError

MEDIA_TYPE = "application/problem+json"
_SHOWN = 20
_log = logging.getLogger(__name__)


class ProblemDetail(BaseModel):
    """The body of every error answer."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str = Field(description="Name of the status.", examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(
        description="One sentence: what is wrong, and what to do.",
        examples=["session 'm1' is running; stop it first: POST /v1/sessions/m1/stop"],
    )
    instance: str = Field(description="Path of the request.", examples=["/v1/sessions/m1"])
    errors: list[FieldError] | None = Field(None, description="For status 422: each field that is wrong.")


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """An error answer.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str
        One sentence for a person.
    **members
        Further members of the answer, for programs.
    """

    def __init__(self, status: int, detail: str, **members: JsonValue) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.members = members


def not_found(kind: str, wanted: str, existing: Iterable[str]) -> Problem:
    """404 that says what there is instead."""
    names = sorted(existing)
    there = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "") if names else "none yet"
    return Problem(404, f"no {kind} {wanted!r}; there is: {there}", existing=list(names[:_SHOWN]))


def bad_value(field: str, message: str, got: JsonValue, allowed: JsonValue = None) -> Problem:
    """422 for one field that is well formed but cannot be used."""
    error = FieldError(field=field, message=message, got=got, allowed=allowed)
    return Problem(422, f"{field}: {message}", errors=[error.model_dump()])


def invalid_fields(errors: Sequence[FieldError]) -> Problem:
    """422 for the fields that pydantic has refused."""
    return Problem(422, summary(errors), errors=[item.model_dump() for item in errors])


def problem_response(problem: Problem, path: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer for `problem`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        **problem.members,
    }
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI descriptions of the error answers of a route."""
    schema = {"$ref": "#/components/schemas/ProblemDetail"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Turn every error of `app`, FastAPI's own included, into problem+json."""

    @app.exception_handler(Problem)
    async def own(request: Request, error: Problem) -> JSONResponse:
        # What a client that was too slow still sends is not another request.
        headers = {"Connection": "close"} if error.status == 408 else None
        return problem_response(error, request.url.path, headers)

    @app.exception_handler(InputError)
    async def unusable(request: Request, error: InputError) -> JSONResponse:
        return problem_response(Problem(422, str(error)), request.url.path)

    @app.exception_handler(DataError)
    async def not_storable(request: Request, error: DataError) -> JSONResponse:
        # PostgreSQL takes no character of number 0.
        problem = Problem(422, "the request has a text that cannot be stored; see that it holds no control characters")
        return problem_response(problem, request.url.path)

    @app.exception_handler(OperationalError)
    async def no_database(request: Request, error: OperationalError) -> JSONResponse:
        _log.error("the database does not answer: %s", error.orig)
        problem = Problem(503, "the database does not answer; the service's log has the details")
        return problem_response(problem, request.url.path)

    @app.exception_handler(DatabaseTakenError)
    async def database_taken(request: Request, error: DatabaseTakenError) -> JSONResponse:
        return problem_response(Problem(503, str(error)), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = field_errors(error.errors(), body_model(request.scope.get("route")))
        return problem_response(invalid_fields(errors), request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        path = request.url.path
        detail = str(error.detail)
        if error.status_code == 404:
            detail = f"there is nothing at {path}; /docs lists every path"
        elif error.status_code == 405:
            headers = {"Allow": ", ".join(_methods_of(request))}
            detail = f"{request.method} is not possible on {path}; allowed: {headers['Allow']}"
        return problem_response(Problem(error.status_code, detail), path, headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        detail = f"unexpected {type(error).__name__}; this is a bug, the service's log has the details"
        return problem_response(Problem(500, detail), request.url.path)


def _methods_of(request: Request) -> list[str]:
    """Every method that the request's path has; Starlette names those of the first matching route only."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    matching = [operations for path, operations in paths.items() if compile_path(path)[0].match(request.url.path)]
    return sorted({method.upper() for operations in matching for method in operations}) or ["GET"]
