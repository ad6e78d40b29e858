"""Which stretches of a recorded decode can be decoded again, and from which state."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.recorded_session import RecordedSession
from bmi_decoder.wire import Flag

_FILLED = int(Flag.HELD | Flag.ZEROED)
_NOTED_S = 5.0
"""How much earlier than it was noted a state may have been taken."""


@dataclass(frozen=True, eq=False)
class Pass:
    """One worker that decodes a stretch again.

    Attributes
    ----------
    revision : int
    begin : int
        Estimate that is decoded first.
    compare : int
        First estimate that must be equal; before it the decoder ran unseen, as in a swap.
    stop : int
        Estimate behind the last.
    state : dict or None
        What it goes on from; None is a decoder at its beginning.
    first_sample : int
        Of the neural stream.
    """

    revision: int
    begin: int
    compare: int
    stop: int
    state: dict[str, Any] | None
    first_sample: int


def passes(session: RecordedSession) -> list[Pass]:
    """Everything that can be decoded again.

    The state of a decoder is known at its first bin, behind a reset, where the recorder has asked for it, and behind a
    swap, as the new decoder had seen so many bins and nothing else.
    """
    found = []
    for begin, stop in _stretches(session):
        candidates = [
            (compare, first, state)
            for compare, first, state in _anchors(session, begin, stop)
            if _sample_of(session, first) is not None
        ]
        if not candidates:
            continue
        compare, first, state = min(candidates, key=lambda candidate: candidate[:2])
        first_sample, last = _sample_of(session, first), _last_with_sample(session, compare, stop)
        if first_sample is None or last is None:
            continue
        revision = int(session.estimates["revision"][begin])
        found.append(Pass(revision, first, compare, last + 1, state, first_sample))
    return found


def samples_of(session: RecordedSession, one: Pass) -> npt.NDArray[np.intp]:
    """Samples of the neural stream that the worker of a pass had.

    On a machine that is overloaded the recorder may have received what the worker has not. That had to fill the bin
    then, and the estimate says so.
    """
    about, per_bin = session.estimates, samples_per_bin(session, one.revision)
    had = np.zeros(len(session.neural.times), bool)
    for row in range(one.begin, one.stop):
        last = None if int(about["flags"][row]) & _FILLED else _nearest(session, about["t_source"][row])
        if last is not None:
            had[max(one.first_sample, last - per_bin + 1) : last + 1] = True
    return np.flatnonzero(had)


def samples_per_bin(session: RecordedSession, revision: int) -> int:
    """Samples of the neural stream in a bin."""
    neural = session.neural
    return max(1, round(session.settings_of(revision)["bin_s"] * neural.rate_hz / neural.speed))


def _stretches(session: RecordedSession) -> list[tuple[int, int]]:
    """Estimates of one revision, one worker and one connection."""
    about = session.estimates
    n = len(about["sequence"])
    cut = np.zeros(n, bool)
    cut[1:] = (np.diff(about["revision"]) != 0) | (np.diff(about["sequence"]) <= 0)
    for at, event in session.health:
        if event.get("event") == "connected":
            behind = int(np.searchsorted(about["t_publish"], at))
            if behind < n:
                cut[behind] = True
    edges = [0, *np.flatnonzero(cut).tolist(), n]
    return [(a, b) for a, b in itertools.pairwise(edges) if a < b]


def _anchors(session: RecordedSession, begin: int, stop: int) -> list[tuple[int, int, dict[str, Any] | None]]:
    """First estimate to compare, first to decode, and the state before that."""
    about = session.estimates
    flags = about["flags"].astype(np.int64)
    found: list[tuple[int, int, dict[str, Any] | None]] = []
    if about["sequence"][begin] == 0:
        found.append((begin, begin, None))
    fresh = begin + np.flatnonzero(flags[begin:stop] & Flag.RESET)
    found += [(row, row, None) for row in fresh[:1].tolist()]
    found += _swapped(session, begin)
    revision = about["revision"][begin]
    for noted_at, event in session.states:
        rows = begin + np.flatnonzero(about["sequence"][begin:stop] == event["sequence"])
        if event["revision"] == revision and len(rows) and about["t_publish"][rows[0]] > noted_at - _NOTED_S:
            found.append((int(rows[0]), int(rows[0]), event))
    return [anchor for anchor in found if not flags[anchor[1]] & _FILLED]


def _swapped(session: RecordedSession, begin: int) -> list[tuple[int, int, None]]:
    """Where a decoder that was swapped in had begun unseen."""
    about = session.estimates
    if not begin:
        return []
    between = about["t_publish"][begin - 1 : begin + 1]
    shadows = [
        event["shadow_bins"]
        for at, event in session.health
        if event.get("event") == "swap"
        and event["revision"] == about["revision"][begin]
        and between[0] <= at <= between[1]
    ]
    first = begin - shadows[0] if shadows else -1
    whole = first >= 0 and about["sequence"][begin] - about["sequence"][first] == begin - first
    return [(begin, first, None)] if whole else []


def _sample_of(session: RecordedSession, row: int) -> int | None:
    """First sample of the bin of an estimate; None if it was not recorded."""
    per_bin = samples_per_bin(session, int(session.estimates["revision"][row]))
    last = _nearest(session, session.estimates["t_source"][row])
    return None if last is None or last < per_bin - 1 else last - per_bin + 1


def _last_with_sample(session: RecordedSession, begin: int, stop: int) -> int | None:
    """The last estimate whose sample was recorded; a rig that goes may reach one inlet only."""
    for row in range(stop - 1, begin - 1, -1):
        if _nearest(session, session.estimates["t_source"][row]) is not None:
            return row
    return None


def _nearest(session: RecordedSession, t: float) -> int | None:
    times: npt.NDArray[np.float64] = session.neural.times
    step = 1 / session.neural.rate_hz
    at = int(np.searchsorted(times, t - step / 2))
    return at if at < len(times) and abs(times[at] - t) < step / 2 else None
