"""Finds the streams of a rig: those that are expected, or all that are there."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pylsl

from services.certify.finding import Finding
from services.certify.manifest import ExpectedStream
from services.certify.streams import choose
from services.ingest.found import FoundStream, read_stream
from services.ingest.inlet import StreamLostError
from services.ingest.listing import Listing
from services.ingest.lsl import describe
from services.ingest.search import SETTLE_S

SEARCH_S = 5.0
_POLL_S = 0.05


def find_expected(wanted: Sequence[ExpectedStream], timeout_s: float = SEARCH_S) -> list[FoundStream | Finding]:
    """Each of them, or why there is none; the search ends early when all are there."""
    listing = Listing()
    try:
        while True:
            infos, waited = listing.infos(), time.monotonic() - listing.began
            visible = [describe(info) for info in infos]
            chosen = [choose(one, visible) for one in wanted]
            complete = not any(isinstance(one, Finding) for one in chosen)
            if waited > timeout_s or (complete and waited > SETTLE_S):
                break
            time.sleep(_POLL_S)
    finally:
        listing.close()
    found: list[FoundStream | Finding] = []
    for one in chosen:
        if isinstance(one, Finding):
            found.append(one)
            continue
        same = [info for info, described in zip(infos, visible, strict=True) if described == one]
        found.append(_read(max(same, key=lambda info: info.created_at())))
    return found


def find_all(wait_s: float = 2.0 * SETTLE_S) -> list[FoundStream | Finding]:
    """Everything that answers in this time, ordered by name; of streams that are named alike the newest first."""
    infos = sorted(pylsl.resolve_streams(wait_s), key=lambda info: (info.name(), info.source_id(), -info.created_at()))
    return [_read(info) for info in infos]


def _read(info: pylsl.StreamInfo) -> FoundStream | Finding:
    try:
        return read_stream(info)
    except StreamLostError as error:
        what = f"it is visible but does not answer ({error})"
        remedy = "is its rig alive? If so, open TCP 16572-16604 in the rig's firewall"
        return Finding(info.name(), "found", "fail", what, remedy)
