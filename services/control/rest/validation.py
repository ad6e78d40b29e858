"""Pydantic's validation errors in a user's words: the field, what was got, what is allowed."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, JsonValue

from bmi_decoder.config import FILTER_KINDS
from bmi_decoder.jobs import JOB_KINDS

_SHOWN_ERRORS = 5
_SHOWN_CHARACTERS = 200


class FieldError(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="Path of the field, with dots.", examples=["output_filters.low_latency.width"])
    message: str = Field(examples=["Input should be greater than or equal to 4"])
    got: JsonValue = Field(None, description="The value that was sent; shortened if long.")
    allowed: JsonValue = Field(None, description="What would be accepted, where it can be listed.")


def field_errors(errors: Sequence[Any], model: type[BaseModel] | None = None) -> list[FieldError]:
    """Translate the errors of a pydantic validation.

    Parameters
    ----------
    errors : sequence of dict
        From ``ValidationError.errors()``.
    model : type, optional
        The model of the request's body, to list the fields that an unknown one may have meant.
    """
    return [_field_error(error, model) for error in errors]


def summary(errors: Sequence[FieldError]) -> str:
    """One sentence over the first few errors."""
    parts = []
    for error in errors[:_SHOWN_ERRORS]:
        text = f"{error.field}: {error.message}"
        if error.allowed is None and error.got is not None and not isinstance(error.got, dict | list):
            text += f", got {error.got!r}"
        parts.append(text)
    more = len(errors) - _SHOWN_ERRORS
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def body_model(route: object) -> type[BaseModel] | None:
    """The model of a FastAPI route's JSON body, None without one."""
    return _as_model(getattr(getattr(route, "body_field", None), "field_info", None))


def _field_error(error: dict[str, Any], model: type[BaseModel] | None) -> FieldError:
    location = list(error["loc"])
    if location[:1] == ["body"] and len(location) > 1:
        location = location[1:]
    # Pydantic puts the kind of a request into the path of an error, where it is no field.
    if location and location[0] in JOB_KINDS:
        model, location = JOB_KINDS[str(location[0])], location[1:]
    kind, context = error["type"], error.get("ctx") or {}
    message = error["msg"].removeprefix("Value error, ")
    allowed: JsonValue = None
    got = error.get("input")
    if kind == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        allowed = list(known) or None
        message = "unknown field" + (f"; allowed: {', '.join(known)}" if known else "")
    elif kind == "missing":
        message, got = "required", None
    elif kind == "json_invalid":
        location, message, got = ["body"], f"not JSON: {context.get('error', message)}", None
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        name = str(context["discriminator"]).strip("'")
        got = got.get(name) if isinstance(got, dict) else got
        location, allowed = [name], list(JOB_KINDS)
        message = f"must be {' or '.join(JOB_KINDS)}, got {_shown(got)!r}" if got is not None else "required"
    elif "expected" in context:
        allowed = str(context["expected"])
        message = f"must be {allowed}, got {_shown(got)!r}"
    return FieldError(
        field=".".join(str(part) for part in location if part not in FILTER_KINDS) or "body",
        message=message,
        got=_shown(got),
        allowed=allowed,
    )


def _shown(value: object) -> JsonValue:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _fields_at(model: type[BaseModel] | None, location: Sequence[object]) -> tuple[str, ...]:
    for part in location:
        if part in FILTER_KINDS:
            model = FILTER_KINDS[str(part)]
            continue
        if model is None:
            return ()
        model = _as_model(model.model_fields.get(str(part)))
    return tuple(model.model_fields) if model is not None else ()


def _as_model(annotated: object) -> type[BaseModel] | None:
    """The model inside a field, an annotation, or a union with None."""
    annotation = getattr(annotated, "annotation", annotated)
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        models = [found for part in get_args(annotation) if (found := _as_model(part))]
        return models[0] if len(models) == 1 else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
