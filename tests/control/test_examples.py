"""Every operation of the OpenAPI document has an example, and each is as the document says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bmi_decoder.config import SessionSettings
from services.control.app import create_app
from services.control.settings import ControlSettings

DOCUMENT: dict[str, Any] = create_app(ControlSettings(data_dir=Path("never-made"))).openapi()
OPERATIONS = {one["operationId"]: one for operations in DOCUMENT["paths"].values() for one in operations.values()}
# A field that an answer no longer has shall not stay in its example.
STRICT = {
    name: {"additionalProperties": False} | schema if "properties" in schema else schema
    for name, schema in DOCUMENT["components"]["schemas"].items()
}


def shown(described: dict[str, Any]) -> list[Any]:
    """The examples of a body or parameter."""
    if "example" in described:
        return [described["example"]]
    return [one["value"] for one in described.get("examples", {}).values()]


def bodies(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The kinds of a body that can be written down."""
    for content in described.get("content", {}).values():
        if content.get("schema", {}).get("format") != "binary":
            yield content


def answer_of(operation: dict[str, Any]) -> dict[str, Any]:
    answer = next(answer for status, answer in operation["responses"].items() if status < "300")
    assert isinstance(answer, dict)
    return answer


def check(described: dict[str, Any]) -> None:
    """There is an example, and the schema allows each."""
    examples = shown(described)
    assert examples
    for example in examples:
        schema = described.get("schema", {"type": "string"})
        jsonschema.validate(example, schema | {"components": {"schemas": STRICT}})


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_are_allowed(name: str) -> None:
    operation = OPERATIONS[name]
    for described in (
        *operation.get("parameters", []),
        *bodies(operation.get("requestBody", {})),
        *bodies(answer_of(operation)),
    ):
        check(described)


def test_a_session_is_shown_with_all_its_settings() -> None:
    """Settings have defaults, so that an example without one would be allowed."""
    (described,) = bodies(answer_of(OPERATIONS["get_session"]))
    for status in shown(described):
        assert status["settings"].keys() == SessionSettings.model_fields.keys()
