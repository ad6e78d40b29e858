"""Route for streams: what LSL shows now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import anyio
from fastapi import APIRouter, Query

from bmi_decoder.rest_models import StreamInfo
from services.control.rest.problem import responses

router = APIRouter(prefix="/v1/streams", tags=["streams"])

_LISTENERS = anyio.CapacityLimiter(16)
"""Threads that listen for seconds. They are not those of other requests, which would wait for them."""


@router.get("", summary="List LSL streams", responses=responses(422))
async def list_streams(
    wait_s: Annotated[float, Query(gt=0, le=10, description="How long to listen for streams, in seconds.")] = 1.0,
) -> list[StreamInfo]:
    """The streams that show themselves on the network within `wait_s` seconds."""
    # Not at the top: pylsl reads its configuration when it is imported, and that is set up by `serve`.
    from services.ingest.lsl import visible_streams

    found = await anyio.to_thread.run_sync(visible_streams, wait_s, limiter=_LISTENERS)
    return [StreamInfo(**asdict(stream)) for stream in found]
