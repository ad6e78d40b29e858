"""Routes for recording sessions: begin, look, end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from bmi_decoder.recorder_models import RecordedFile, RecorderStatus, RecordingStart
from services.control.context import ControlDep
from services.control.recordings.library import recording_info
from services.control.rest.problem import responses
from services.control.sessions.lookup import check_existing

router = APIRouter(prefix="/v1/sessions/{name}/recordings", tags=["recordings"])

How = Annotated[RecordingStart, Body(default_factory=RecordingStart)]


@router.post("", status_code=201, summary="Record a session", responses=responses(404, 409, 422))
async def record_session(name: str, how: How, control: ControlDep) -> RecorderStatus:
    """Record input, estimates, events and settings of a session into one XDF file, in a process of its own.

    The session is not disturbed, and may be stopped and started meanwhile. With `armed` nothing is written yet: the
    same request again begins, and includes what came before.
    """
    check_existing(control, name)
    return await control.recorders.start(name, how)


@router.get("", summary="How the recording fares", responses=responses(404))
async def look_at_recorder(name: str, control: ControlDep) -> RecorderStatus | None:
    """State, elapsed time, size, samples and losses; null while nothing is recorded."""
    check_existing(control, name)
    return await control.recorders.status(name)


@router.post("/disarm", status_code=204, summary="End an armed recorder", responses=responses(404, 409))
async def disarm_recorder(name: str, control: ControlDep) -> None:
    """Forget what an armed recorder holds in memory; nothing is done where none is armed."""
    check_existing(control, name)
    await control.recorders.disarm(name)


@router.post("/stop", summary="End a recording", responses=responses(404, 409, 422))
async def stop_recording(name: str, control: ControlDep) -> RecordedFile:
    """Close the file and store it with the other recordings, from which decoders are trained."""
    check_existing(control, name)
    status, row = await control.recorders.stop(name)
    return RecordedFile(status=status, recording=recording_info(row))
