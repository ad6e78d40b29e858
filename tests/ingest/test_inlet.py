"""An inlet brings what an outlet sends, whether it reads the connection itself or leaves that to liblsl."""

from __future__ import annotations

import ctypes
import re
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pylsl
import pytest
from pylsl.lib import string2fmt

from bmi_decoder.machine.live.fields import LiveFields, Outcome
from bmi_decoder.machine.native import run_live
from services.ingest import direct
from services.ingest.handshake import UnusableFeedError
from services.ingest.inlet import SampleInlet, StreamLostError

N_CHANNELS, RATE_HZ = 3, 50.0
ROWS = [[0, 1, -2], [100, 7, -128], [3, 2, 1]]


class Rig:
    """An outlet."""

    def __init__(self, form: str) -> None:
        self._id = uuid.uuid4().hex
        info = pylsl.StreamInfo(self._id, "spikes", N_CHANNELS, RATE_HZ, string2fmt[form], self._id)
        self.outlet: Any = pylsl.StreamOutlet(info, chunk_size=1)
        (self.info,) = pylsl.resolve_byprop("source_id", self._id, timeout=20.0)


class Way:
    """An inlet of it, and the live loop, which decodes nothing."""

    def __init__(self, rig: Rig, direct: bool = True) -> None:
        self.inlet, self.row = SampleInlet(rig.info), np.full(N_CHANNELS, np.nan, np.float32)
        self.inlet.open(self.row)
        self.fields = LiveFields()
        self.inlet.lend(self.fields)
        self.fields.slice_s = self.fields.timeout_s = 20.0
        self.fields.n_channels, self.fields.sample = N_CHANNELS, self.row.ctypes.data
        self.why_not = self.inlet.connect_directly() if direct else "not asked"

    def pull(self) -> tuple[float, list[float]]:
        """Raw stamp and values of the next sample."""
        outcome = run_live(ctypes.addressof(self.fields))
        if outcome & Outcome.PULL_FAILED:
            self.inlet.check(ctypes.c_int(self.fields.error).value)
        assert outcome == Outcome.SAMPLE
        return self.fields.raw_stamp, self.row.tolist()

    def settle(self) -> str:
        """Until it is decided; without another sample."""
        deadline = time.monotonic() + 20.0
        while (why_not := self.inlet.settle()) is None:
            assert time.monotonic() < deadline
        return why_not


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield Rig(getattr(request, "param", "float32"))


@pytest.mark.parametrize("rig", ["float32", "double64", "int32", "int16", "int8", "int64"], indirect=True)
def test_both_ways_bring_the_same(rig: Rig) -> None:
    """All samples once, from the first that was pushed when somebody listened, before and behind the change."""
    ways = [Way(rig, direct) for direct in (True, False)]
    got: list[list[tuple[float, list[float]]]] = [[], []]
    assert ways[0].why_not == "" and rig.outlet.have_consumers()
    now = pylsl.local_clock()

    def push_and_pull() -> None:
        rig.outlet.push_sample(ROWS[0], now)
        rig.outlet.push_chunk(ROWS[1:], now + 5)  # one stamp for two samples
        for way, samples in zip(ways, got, strict=True):
            samples.extend(way.pull() for _ in ROWS)

    assert ways[0].inlet.settle() is None
    push_and_pull()
    assert ways[0].settle() == "" and ways[0].inlet.settle() is None
    push_and_pull()
    assert got[0] == got[1] == 2 * [(now, ROWS[0]), (now + 5 - 1 / RATE_HZ, ROWS[1]), (now + 5, ROWS[2])]
    for way in ways:
        assert way.inlet.waiting() == 0
        way.inlet.close()


def test_what_has_come_over_both_ways_is_pulled_once(rig: Rig) -> None:
    """The change happens in the middle of what waits."""
    way = Way(rig)
    stamps = [float(k) for k in range(20)]
    for stamp in stamps:
        rig.outlet.push_sample(ROWS[0], stamp + 1)
    got = [way.pull()[0] for _ in range(7)]
    assert way.settle() == ""
    assert got + [way.pull()[0] for _ in range(13)] == [stamp + 1 for stamp in stamps]
    way.inlet.close()


def test_an_outlet_that_ends_is_lost(rig: Rig) -> None:
    way = Way(rig)
    rig.outlet.push_sample(ROWS[0])
    way.pull()
    assert way.settle() == ""
    rig.outlet = None
    with pytest.raises(StreamLostError, match="gone"):
        way.pull()
    assert way.row.tolist() == ROWS[0]
    way.inlet.close()


def test_the_clock_is_still_measured_behind_the_change(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """liblsl may take the end of its own connection for the outlet's."""
    way = Way(rig)
    rig.outlet.push_sample(ROWS[0])
    way.pull()
    assert way.settle() == ""
    moments: list[float] = []
    monkeypatch.setattr(way.inlet._offset, "take", lambda at, offset, round_trip_s: moments.append(at) or offset)
    deadline = time.monotonic() + 30.0
    while len(set(moments)) < 2:
        way.inlet.clock_offset()
        assert time.monotonic() < deadline
    way.inlet.close()


def test_text_is_left_to_liblsl() -> None:
    way = Way(Rig("string"))
    assert way.why_not == "its samples are text"
    way.inlet.close()


def test_an_outlet_that_answers_otherwise_is_left_to_liblsl(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: socket.socket, wanted: object, timeout_s: float) -> None:
        raise UnusableFeedError("its test samples are not what this protocol says")

    monkeypatch.setattr(direct, "shake_hands", refuse)
    way = Way(rig)
    assert "test samples" in way.why_not
    rig.outlet.push_sample(ROWS[1])
    assert way.pull()[1] == ROWS[1] and way.inlet.settle() is None
    way.inlet.close()


def test_a_connection_that_brings_something_else_is_not_changed_to(rig: Rig) -> None:
    way = Way(rig)
    rig.outlet.push_sample(ROWS[0], 1.0)
    way.pull()
    way.fields.raw_stamp = 0.5
    for k in range(5000):
        rig.outlet.push_sample(ROWS[1], 2.0 + k)
        if (why_not := way.inlet.settle()) is not None:
            break
    assert why_not == "its samples are not those that liblsl brings"
    assert way.pull()[1] == ROWS[1]
    way.inlet.close()


class Elsewhere:
    """A resolved stream whose outlet had the port that another has now."""

    def __init__(self, info: Any, now: Any) -> None:
        self._info = info
        port = re.search("<v4data_port>[0-9]+<", now.as_xml())
        assert port is not None
        self._xml = re.sub("<v4data_port>[0-9]+<", port[0], info.as_xml())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._info, name)

    def as_xml(self) -> str:
        return self._xml


def test_only_the_outlet_that_is_meant_is_connected_to(rig: Rig) -> None:
    other = Rig("float32")
    keep = Way(other, direct=False)
    with pytest.raises(UnusableFeedError, match=r"another outlet answers at 127\.0\.0\.1 port "):
        direct.connect_directly(Elsewhere(rig.info, other.info), 5.0)
    keep.inlet.close()
    with pytest.raises(UnusableFeedError, match="no connection"):
        direct.connect_directly(rig.info, 5.0)
