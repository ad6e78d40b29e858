"""The OpenAPI document: the routes, problem+json for every error, and an example of every operation."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.control.rest.problem import ProblemDetail, responses


def install(app: FastAPI, guarded: bool) -> None:
    """Have `app` describe itself so.

    Parameters
    ----------
    app : FastAPI
    guarded : bool
        Whether a token must be presented.
    """
    app.openapi = _document(app, guarded)  # type: ignore[method-assign]


def _document(app: FastAPI, guarded: bool) -> Callable[[], dict[str, Any]]:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _describe_problems(schema, guarded)
            _add_examples(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi


def _describe_problems(schema: dict[str, Any], guarded: bool) -> None:
    models = schema.setdefault("components", {}).setdefault("schemas", {})
    own = ProblemDetail.model_json_schema(ref_template="#/components/schemas/{model}")
    models |= own.pop("$defs", {}) | {"ProblemDetail": own}
    for unused in ("HTTPValidationError", "ValidationError"):
        models.pop(unused, None)
    everywhere = responses(400, 500) | (responses(401, 403) if guarded else {})
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"] = responses(422)[422]
            for status, response in everywhere.items():
                if status not in (401, 403) or path.startswith(("/v1", "/metrics")):
                    operation["responses"].setdefault(str(status), response)


def _add_examples(schema: dict[str, Any]) -> None:
    """What a running service was asked, and has answered; written by ``docs/make_rest_examples.py``."""
    recorded = json.loads(files("services.control").joinpath("examples.json").read_text())
    for operations in schema["paths"].values():
        for operation in operations.values():
            example = recorded["operations"].get(operation["operationId"], {})
            for parameter in operation.get("parameters", []):
                if parameter["name"] in recorded["parameters"]:
                    parameter["example"] = recorded["parameters"][parameter["name"]]
            if "request" in example:
                _show(operation["requestBody"], example["request"])
            if "response" in example:
                answers = operation["responses"]
                _show(next(answers[status] for status in answers if status < "300"), example["response"])


def _show(described: dict[str, Any], example: Any) -> None:
    """Add an example, unless there are some already that say what they are for."""
    for content in described["content"].values():
        if "examples" not in content:
            content["example"] = example
