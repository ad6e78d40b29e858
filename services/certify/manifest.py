"""The expected-streams manifest: which streams a rig has, as a YAML file that a person can read and edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from bmi_decoder.config import Settings
from bmi_decoder.errors import BmiError, InputError
from services.certify.finding import Finding
from services.certify.limits import Limits
from services.ingest.lsl import ESTIMATE_TYPE

if TYPE_CHECKING:
    from services.ingest.found import FoundStream

_MOST_BYTES = 1 << 20
_TOPMOST = 6
"""Levels of nesting; a manifest has four."""

Text = Annotated[str, Field(max_length=256)]


class ExpectedStream(Settings):
    """One stream of the rig; what is left out is not compared."""

    name: str = Field(min_length=1, max_length=256, description="LSL stream name, exactly.")
    type: str = Field(min_length=1, max_length=256, description="LSL stream type, exactly.")
    channels: int | None = Field(None, ge=1, le=1_000_000, description="Number of channels.")
    rate_hz: float | None = Field(None, ge=0, description="Nominal rate; 0 is irregular.")
    format: Literal["float32", "double64", "string", "int32", "int16", "int8", "int64"] | None = Field(
        None, description="Format of the samples."
    )
    source_id: Text | None = Field(None, description="Only the outlet with this source_id.")
    labels: tuple[Text, ...] | None = Field(None, description="Labels of the channels, in their order.")
    units: Text | tuple[Text, ...] | None = Field(None, description="Unit of all channels, or of each.")

    @model_validator(mode="after")
    def _has_one_text_per_channel(self) -> Self:
        for what, given in (("labels", self.labels), ("units", self.units)):
            if isinstance(given, tuple) and self.channels is not None and len(given) != self.channels:
                raise ValueError(f"{len(given)} {what} for {self.channels} channels; give one for each, or none")
        return self

    @property
    def bytes_per_s(self) -> float:
        """What a recording of it takes; 0 where rate or channels are not given."""
        size = {"double64": 8, "int64": 8, "int16": 2, "int8": 1}.get(self.format or "", 4)
        return (self.rate_hz or 0.0) * ((self.channels or 0) * size + 9)


class RigManifest(Settings):
    """All streams of a rig, and the limits that are other than the defaults."""

    streams: tuple[ExpectedStream, ...] = Field(min_length=1, max_length=1000)
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        keys = [(stream.name, stream.type, stream.source_id) for stream in self.streams]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"stream {twice[0]!r} of type {twice[1]!r} stands there twice; tell them by source_id")
        return self


class _Loader(yaml.SafeLoader):
    """Plain data; no key twice, no tags, no aliases, which a file of a few lines can blow up to any size."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        for what, there in (("aliases", isinstance(event, yaml.AliasEvent)), ("tags", getattr(event, "tag", None))):
            if there:
                raise yaml.composer.ComposerError(None, None, f"{what} are not taken here", event.start_mark)
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > _TOPMOST:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_manifest(path: Path) -> RigManifest:
    """Read and check a manifest.

    Raises
    ------
    InputError
        If it cannot be read, or is none; with the line.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is no manifest: it has more than {_MOST_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the manifest {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is no manifest: it is not text in UTF-8") from None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        values = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: {error.problem}; see docs/how-to/certify.md for what a manifest is") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path} is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is no manifest: it needs 'streams:' with a list; see docs/how-to/certify.md")
    try:
        return RigManifest(**{str(key): value for key, value in values.items()})
    except ValidationError as error:
        raise InputError(f"{path}{_first(error, node)}") from None


def write_manifest(path: Path, streams: Sequence[ExpectedStream]) -> None:
    """Write a manifest of these streams.

    Raises
    ------
    BmiError
        If it cannot be written.
    """
    values = [one.model_dump(mode="json", exclude_none=True) for one in streams]
    text = yaml.safe_dump({"streams": values}, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    try:
        path.write_text("# Streams of this rig; remove what need not be as it is here.\n" + text, encoding="utf-8")
    except OSError as error:
        raise BmiError(f"cannot write {path}: {error.strerror}") from None


def expect(found: Sequence[FoundStream | Finding]) -> list[ExpectedStream | Finding]:
    """Each stream as it is, or why no manifest can hold it; of those that are named alike the first can be held.

    What a session publishes is there only as long as it runs, and is left out.
    """
    streams: dict[tuple[str, str, str | None], ExpectedStream] = {}
    return [one if isinstance(one, Finding) else _expected(one, streams) for one in found]


def _expected(found: FoundStream, known: dict[tuple[str, str, str | None], ExpectedStream]) -> ExpectedStream | Finding:
    one, labels, units = found.visible, found.labels, found.units
    if one.type == ESTIMATE_TYPE:
        return _left_out(one.name, "it is what a session publishes, and none of the rig's", "stop the session")
    try:
        stream = ExpectedStream(
            name=one.name,
            type=one.type,
            channels=one.n_channels,
            rate_hz=one.rate_hz,
            format=one.channel_format,  # type: ignore[arg-type]
            source_id=one.source_id or None,
            labels=labels if any(labels) else None,
            units=(units[0] if len(set(units)) == 1 else units) if any(units) else None,
        )
    except ValidationError as error:
        first = error.errors()[0]
        what = f"its {first['loc'][0]} is {str(first['input'])[:40]!r}: {first['msg']}"
        return _left_out(one.name, what, "correct that in the rig's program")
    if known.setdefault((stream.name, stream.type, stream.source_id), stream) is not stream:
        what = f"a newer one has its name, type and source_id {one.source_id!r}"
        return _left_out(one.name, what, "stop the one that is not wanted, or give each a source_id of its own")
    return stream


def _left_out(name: str, why: str, remedy: str) -> Finding:
    return Finding(name, "manifest", "fail", f"left out of the manifest: {why}", remedy)


def _first(error: ValidationError, node: Any) -> str:
    """The first thing that is wrong: line, field, reason, what there is instead."""
    first = error.errors()[0]
    where = [part for part in first["loc"] if part not in ("str", "tuple[]") and not str(part).startswith("tuple")]
    for part in where:
        children: dict[Any, Any] = dict(enumerate(node.value)) if isinstance(node, yaml.SequenceNode) else {}
        if isinstance(node, yaml.MappingNode):
            children = {key.value: value for key, value in node.value}
        node = children.get(part, node)
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        models: dict[Any, type[Settings]] = {"streams": ExpectedStream, "limits": Limits}
        model = models.get(where[0], RigManifest) if len(where) > 1 else RigManifest
        reason = f"there is no such key; it may be {', '.join(model.model_fields)}"
    elif first["type"] == "missing":
        reason = "is missing; add it"
    field = ".".join(map(str, where))
    return f", line {node.start_mark.line + 1}: {field + ': ' if field else ''}{reason}"
