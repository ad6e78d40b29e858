"""Routes for decoders: upload, list, look at, download, delete."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from bmi_decoder.rest_models import DecoderDetail, DecoderInfo
from services.control.context import ControlDep
from services.control.decoders.library import decoder_info
from services.control.rest.paging import LINK, PageDep, one_page
from services.control.rest.problem import responses
from services.control.rest.upload import received_file
from services.control.storage.disk_threads import on_disk

router = APIRouter(prefix="/v1/decoders", tags=["decoders"])

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary", "description": "A bundle made by `train`."}},
    "additionalProperties": False,
}
_UPLOAD = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


@router.post(
    "", status_code=201, summary="Upload a decoder", responses=responses(400, 408, 413, 422), openapi_extra=_UPLOAD
)
async def upload_decoder(request: Request, control: ControlDep) -> DecoderInfo:
    """Check a bundle and keep it.

    Its id is made of its content: the same file again is the same decoder.
    """
    settings = control.settings
    async with received_file(
        request, control.places.uploads, settings.max_upload_bytes, settings.upload_stall_s
    ) as upload:
        return decoder_info(await on_disk(control.library.add, upload))


@router.get("", summary="List decoders", responses=responses(422) | LINK)
def list_decoders(control: ControlDep, page: PageDep, request: Request, response: Response) -> list[DecoderInfo]:
    """All decoders, oldest first."""
    rows = one_page(page, control.store.decoder_page(page), ("uploaded_at", "id"), request, response)
    return [decoder_info(row) for row in rows]


@router.get("/{decoder_id}", summary="Look at a decoder", responses=responses(404))
def get_decoder(decoder_id: str, control: ControlDep) -> DecoderDetail:
    """One decoder, with its metrics, filters and whole manifest."""
    return control.library.describe(control.library.get(decoder_id))


@router.get(
    "/{decoder_id}/file",
    summary="Download a decoder",
    response_class=FileResponse,
    responses=responses(404)
    | {200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def download_decoder(decoder_id: str, control: ControlDep) -> FileResponse:
    """The bundle, byte for byte as it was uploaded."""
    row = control.library.get(decoder_id)
    return FileResponse(control.places.decoder(row.id), media_type="application/zip", filename=f"{row.id}.bmi")


@router.delete("/{decoder_id}", status_code=204, summary="Delete a decoder", responses=responses(404, 409))
def delete_decoder(decoder_id: str, control: ControlDep) -> None:
    """Delete a decoder that no session uses."""
    control.library.remove(decoder_id)
