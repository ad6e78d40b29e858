"""Routes for recordings: upload, list, look at, download, delete."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from bmi_decoder.jobs import RecordingDetail, RecordingInfo
from services.control.context import ControlDep
from services.control.recordings.library import recording_detail, recording_info
from services.control.rest.paging import LINK, PageDep, one_page
from services.control.rest.problem import responses
from services.control.rest.upload import received_file

router = APIRouter(prefix="/v1/recordings", tags=["recordings"])

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary", "description": "A recording of any known format."}},
    "additionalProperties": False,
}
_UPLOAD = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


@router.post(
    "", status_code=201, summary="Upload a recording", responses=responses(400, 408, 413, 422), openapi_extra=_UPLOAD
)
async def upload_recording(request: Request, control: ControlDep) -> RecordingInfo:
    """Look into a recording and keep it.

    Its id is made of its content: the same file again is the same recording.
    """
    settings = control.settings
    async with received_file(
        request, control.places.uploads, settings.max_recording_bytes, settings.upload_stall_s
    ) as upload:
        return recording_info(await control.recordings.add(upload))


@router.get("", summary="List recordings", responses=responses(422) | LINK)
def list_recordings(control: ControlDep, page: PageDep, request: Request, response: Response) -> list[RecordingInfo]:
    """All recordings, oldest first."""
    rows = control.recordings.page(page)
    return [recording_info(row) for row in one_page(page, rows, ("uploaded_at", "id"), request, response)]


@router.get("/{recording_id}", summary="Look at a recording", responses=responses(404))
def get_recording(recording_id: str, control: ControlDep) -> RecordingDetail:
    """One recording, with its channels, outputs, gaps and oddities."""
    return recording_detail(control.recordings.get(recording_id))


@router.get(
    "/{recording_id}/file",
    summary="Download a recording",
    response_class=FileResponse,
    responses=responses(404)
    | {200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
def download_recording(recording_id: str, control: ControlDep) -> FileResponse:
    """The file, byte for byte as it was uploaded."""
    row = control.recordings.get(recording_id)
    path = control.recordings.path(row)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.delete("/{recording_id}", status_code=204, summary="Delete a recording", responses=responses(404, 409))
async def delete_recording(recording_id: str, control: ControlDep) -> None:
    """Delete a recording that no job needs."""
    await control.recordings.remove(recording_id)
