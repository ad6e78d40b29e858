"""Route for streams: what LSL shows now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from bmi_decoder.rest_models import StreamInfo
from services.control.problem import responses

router = APIRouter(prefix="/v1/streams", tags=["streams"])


@router.get("", summary="List LSL streams", responses=responses(422))
def list_streams(
    wait_s: Annotated[float, Query(gt=0, le=10, description="How long to listen for streams, in seconds.")] = 1.0,
) -> list[StreamInfo]:
    """The streams that show themselves on the network within `wait_s` seconds."""
    # Not at the top: pylsl reads its configuration when it is imported, and that is set up by `serve`.
    from services.ingest.lsl import visible_streams

    return [StreamInfo(**asdict(stream)) for stream in visible_streams(wait_s)]
