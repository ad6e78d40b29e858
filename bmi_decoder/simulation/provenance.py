"""What a simulated recording was made from, so that anyone can make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from bmi_decoder.config import Settings
from bmi_decoder.errors import InputError
from bmi_decoder.recording import Recording
from bmi_decoder.simulation.subject import SubjectSettings, simulate

SIMULATOR = "bmi_decoder.simulation"
# Raised whenever the same settings would no longer give the same recording.
VERSION = 1


class _Record(Settings):
    simulator: str = SIMULATOR
    version: int = VERSION
    seconds: float = Field(gt=0)
    settings: SubjectSettings


def provenance(settings: SubjectSettings, seconds: float) -> dict[str, Any]:
    """Describe ``simulate(settings, seconds)`` as a JSON object."""
    return _Record(seconds=seconds, settings=settings).model_dump(mode="json")


def settings_from_provenance(record: Mapping[str, Any]) -> tuple[SubjectSettings, float]:
    """Read the settings and the length in seconds back.

    Raises
    ------
    InputError
        If the record is not from this simulator, from another version of it, or not valid.
    """
    made_by, version = record.get("simulator"), record.get("version")
    if made_by != SIMULATOR:
        raise InputError(f"provenance must be of simulator {SIMULATOR!r} to make it again, got {made_by!r}")
    if version != VERSION:
        raise InputError(f"provenance is of simulator version {version!r}, this program has {VERSION}")
    try:
        parsed = _Record.model_validate(dict(record))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"provenance: {where}: {first['msg']}") from error
    return parsed.settings, parsed.seconds


def reproduce(record: Mapping[str, Any]) -> Recording:
    """Make the recording that a provenance record describes."""
    return simulate(*settings_from_provenance(record))
