"""Routes for those who watch the service: is the process alive, and is every session fresh."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, Field

from services.control.context import ControlDep
from services.control.rest.problem import Problem, responses
from services.control.sessions.routes import list_sessions
from services.control.sessions.status import stale_reason

FRESH_S = 2.0
"""Age of the newest bin from which on a session counts as stale."""

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str = Field(examples=["0.1.0"])


class Readiness(BaseModel):
    """Every session that should run is running and has fresh data."""

    status: Literal["ready"] = "ready"
    sessions: list[str] = Field(description="The sessions that should run.", examples=[["m1"]])


def service_version() -> str:
    """Version of this distribution."""
    try:
        return version("bmi-decoder")
    except PackageNotFoundError:
        return "0+unknown"


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Answers as long as the control plane does; says nothing about sessions."""
    return Health(version=service_version())


@router.get("/readyz", summary="Is every session fresh?", responses=responses(503))
async def readyz(control: ControlDep) -> Readiness:
    """200 if every session that should run is running and had a bin in the last 2 s, else 503.

    The 503 names each session that is not fresh, and why. It is 503 too while the database cannot be written.
    """
    if control.database.problem:
        raise Problem(503, f"not ready: {control.database.problem}")
    wanted = [status for status in await list_sessions(control) if status.wanted]
    stale = {status.name: reason for status in wanted if (reason := stale_reason(status, FRESH_S))}
    if stale:
        listed = "; ".join(f"{name} ({reason})" for name, reason in stale.items())
        raise Problem(503, f"not ready: {listed}", sessions=dict(stale))
    return Readiness(sessions=[status.name for status in wanted])


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(control: ControlDep) -> Response:
    """Counters, ages and latency histograms of every session, in Prometheus' text format.

    They are computed now, from the flight recorders: nobody pays for them while nobody asks.
    """
    text = await control.metrics.exposition(await list_sessions(control))
    return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
