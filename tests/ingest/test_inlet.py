"""An inlet brings what an outlet sends, whether it reads the connection itself or leaves that to liblsl."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pylsl
import pytest
from pylsl.lib import string2fmt

from services.ingest import direct
from services.ingest.handshake import UnusableFeedError
from services.ingest.inlet import SampleInlet, StreamLostError

N_CHANNELS, RATE_HZ = 3, 50.0
ROWS = [[0, 1, -2], [100, 7, -128], [3, 2, 1]]


class Rig:
    """An outlet, and inlets of it."""

    def __init__(self, form: str) -> None:
        self._id = uuid.uuid4().hex
        info = pylsl.StreamInfo(self._id, "spikes", N_CHANNELS, RATE_HZ, string2fmt[form], self._id)
        self.outlet: Any = pylsl.StreamOutlet(info, chunk_size=1)
        (self.info,) = pylsl.resolve_byprop("source_id", self._id, timeout=20.0)

    def inlet(self, direct: bool = True) -> tuple[SampleInlet, Any]:
        inlet, row = SampleInlet(self.info), np.full(N_CHANNELS, np.nan, np.float32)
        inlet.open(row, direct)
        return inlet, row


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield Rig(getattr(request, "param", "float32"))


@pytest.mark.parametrize("rig", ["float32", "double64", "int32", "int16", "int8", "int64"], indirect=True)
def test_both_ways_bring_the_same(rig: Rig) -> None:
    inlets = [rig.inlet(direct) for direct in (True, False)]
    assert [inlet.why_not_direct for inlet, _ in inlets] == ["", ""]
    assert rig.outlet.have_consumers()
    now = pylsl.local_clock()
    rig.outlet.push_sample(ROWS[0], now)
    rig.outlet.push_chunk(ROWS[1:], now + 5)  # one stamp for two samples
    got = []
    for inlet, row in inlets:
        offset = inlet.clock_offset()
        got.append([(round((inlet.pull(20.0) or 0) - offset - now, 4), row.tolist()) for _ in ROWS])
        inlet.close()
    assert got[0] == got[1] == [(0, ROWS[0]), (pytest.approx(5 - 1 / RATE_HZ), ROWS[1]), (5, ROWS[2])]


def test_an_outlet_that_ends_is_lost(rig: Rig) -> None:
    inlet, row = rig.inlet()
    rig.outlet.push_sample(ROWS[0])
    assert inlet.pull(20.0) is not None
    rig.outlet = None
    with pytest.raises(StreamLostError, match="gone"):
        inlet.pull(20.0)
    assert row.tolist() == ROWS[0]
    inlet.close()


def test_text_is_left_to_liblsl() -> None:
    inlet, _ = Rig("string").inlet()
    assert inlet.why_not_direct == "its samples are text; a thread of liblsl's reads it"
    inlet.close()


def test_an_outlet_that_does_not_answer_is_left_to_liblsl(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: socket.socket, wanted: object) -> None:
        raise UnusableFeedError("its test samples are not what this protocol says")

    monkeypatch.setattr(direct, "shake_hands", refuse)
    inlet, row = rig.inlet()
    assert "test samples" in inlet.why_not_direct
    rig.outlet.push_sample(ROWS[1])
    assert inlet.pull(20.0) is not None and row.tolist() == ROWS[1]
    inlet.close()


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
    keep, _ = other.inlet(direct=False)
    with pytest.raises(UnusableFeedError, match=r"another outlet answers at 127\.0\.0\.1 port "):
        direct.connect_directly(Elsewhere(rig.info, other.info), 0.0, 5.0)
    keep.close()
    with pytest.raises(UnusableFeedError, match="no connection"):
        direct.connect_directly(rig.info, 0.0, 5.0)
