"""How a search settles, on a network that the test decides on; tests/system has the real one."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

import pylsl
import pytest

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from services.ingest import listing
from services.ingest import search as module
from services.ingest.lsl import VisibleStream
from services.ingest.search import ANSWERS_S, SETTLE_S, UNREACHABLE_S, StreamSearch

M1 = VisibleStream("M1", "spikes", 96, 250.0, "rig-1", "host", "float32")
OTHER = VisibleStream("M1", "spikes", 96, 250.0, "rig-2", "host", "float32")


class Info:
    """A resolved stream."""

    def __init__(self, stream: VisibleStream, created_at: float = 0.0) -> None:
        self.stream, self._created_at = stream, created_at

    def uid(self) -> str:
        return f"{self.stream.source_id}-{self._created_at}"

    def created_at(self) -> float:
        return self._created_at


class Network:
    """What a resolver lists, and what the time is."""

    def __init__(self) -> None:
        self.infos: list[Info] = []
        self.now = 100.0

    def results(self) -> list[Info]:
        return self.infos

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(pylsl, "ContinuousResolver", lambda: network)
    for user in (module, listing):
        monkeypatch.setattr(user, "time", network)
    monkeypatch.setattr(module, "describe", lambda info: info.stream)
    return network


def poll(search: StreamSearch, *ignored: str) -> Any:
    return search.poll(set(ignored))


def test_a_stream_is_taken_once_it_has_stayed_the_only_one(network: Network) -> None:
    search = StreamSearch(StreamSettings(name="M1"))
    assert poll(search) is None
    assert not search.settling
    network.infos = [Info(M1)]
    network.now += 60
    assert poll(search) is None
    assert search.settling
    network.now += SETTLE_S
    assert poll(search) is network.infos[0]


def test_a_stream_that_was_listed_before_the_search_has_settled_as_long(network: Network) -> None:
    before = listing.Listing()
    network.infos = [Info(M1)]
    network.now += 0.7 * SETTLE_S
    search = StreamSearch(StreamSettings(name="M1"), listing=before)
    assert poll(search) is None
    assert search.candidate is network.infos[0]
    network.now += 0.3 * SETTLE_S
    assert poll(search) is network.infos[0]


def test_a_search_that_is_closed_asks_nobody_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's listing begins with the process; who else holds it does not keep it going."""
    monkeypatch.setattr(pylsl, "ContinuousResolver", Network)
    given = listing.Listing()
    resolver = weakref.ref(given._resolver)
    StreamSearch(StreamSettings(name="M1"), listing=given).close()
    assert resolver() is None


def test_nothing_is_a_candidate_while_two_may_be_meant(network: Network) -> None:
    search = StreamSearch(StreamSettings(name="M1"))
    network.infos = [Info(M1), Info(OTHER)]
    assert poll(search) is None
    assert search.candidate is None


def test_a_second_one_that_answers_later_is_an_error(network: Network) -> None:
    search = StreamSearch(StreamSettings(name="M1"))
    network.infos = [Info(M1)]
    assert poll(search) is None
    network.infos = [Info(M1), Info(OTHER)]
    network.now += SETTLE_S
    with pytest.raises(StreamMismatchError, match="2 streams are named 'M1'"):
        poll(search)


def test_one_of_another_type_that_answers_first_is_no_error(network: Network) -> None:
    """One device may offer several types under one name."""
    search = StreamSearch(StreamSettings(name="M1"))
    network.infos = [Info(replace(OTHER, type="EEG"))]
    assert poll(search) is None
    network.infos = [*network.infos, Info(M1)]
    network.now += SETTLE_S
    assert poll(search) is network.infos[1]


def test_only_another_type_is_an_error(network: Network) -> None:
    search = StreamSearch(StreamSettings(name="M1"))
    network.infos = [Info(replace(OTHER, type="EEG"))]
    assert poll(search) is None
    network.now += SETTLE_S
    with pytest.raises(StreamMismatchError, match="has type 'EEG'"):
        poll(search)


def test_one_that_vanishes_meanwhile_settles_anew(network: Network) -> None:
    search = StreamSearch(StreamSettings(name="M1"))
    network.infos = [Info(M1)]
    assert poll(search) is None
    network.infos = []
    network.now += SETTLE_S
    assert poll(search) is None
    assert not search.settling
    network.infos = [Info(M1)]
    assert poll(search) is None


def test_a_source_that_comes_back_is_taken_at_once(network: Network) -> None:
    network.infos = [Info(M1, created_at=1.0), Info(M1, created_at=2.0)]
    search = StreamSearch(StreamSettings(name="M1"), last=M1)
    assert poll(search) is network.infos[1], "the newest of its outlets"
    assert poll(search, network.infos[1].uid()) is network.infos[0]


def test_the_source_from_before_is_taken_whoever_else_has_its_name(network: Network) -> None:
    network.infos = [Info(OTHER), Info(replace(M1, hostname="spare"), 5.0)]
    assert poll(StreamSearch(StreamSettings(name="M1"), last=M1)) is network.infos[1]


@pytest.mark.parametrize("last", [OTHER, VisibleStream("M1", "spikes", 96, 250.0, "", "host", "float32")])
def test_another_source_than_before_settles(network: Network, last: VisibleStream) -> None:
    network.infos = [Info(M1 if last is OTHER else last)]
    assert poll(StreamSearch(StreamSettings(name="M1"), last)) is None


def test_report(network: Network) -> None:
    search = StreamSearch(StreamSettings(name="M2"))
    assert search.report() == (
        "no stream named 'M2' of type 'spikes'; no LSL stream is visible at all. Start the rig, or correct the "
        "session's stream"
    )
    network.infos = [Info(M1), Info(M1)]
    assert "visible now: 'M1' (type 'spikes', 96 channels, 250 Hz). Start" in search.report()


def test_report_while_others_may_answer(network: Network) -> None:
    network.infos = [Info(M1)]
    search = StreamSearch(StreamSettings(name="M1"))
    assert poll(search) is None
    assert search.report() == (
        "found 'M1' (type 'spikes', 96 channels, 250 Hz); others of that name have a moment to answer"
    )
    network.infos.append(Info(OTHER))
    assert poll(search) is None
    assert search.report() == "found streams named 'M1'; others of that name have a moment to answer"


def test_a_rig_that_is_silent_is_not_given_up_for_another(network: Network) -> None:
    old, other, elsewhere = Info(M1), Info(OTHER), Info(replace(M1, hostname="another"), 1.0)
    network.infos = [old, other, elsewhere]
    search = StreamSearch(StreamSettings(name="M1"), M1)
    network.now += 10 * SETTLE_S
    assert search.moved(old.uid(), set()) is None
    network.infos.append(back := Info(M1, 2.0))
    assert search.moved(old.uid(), set()) is back
    assert search.moved(old.uid(), {back.uid()}) is None


def test_a_silent_rig_without_an_id_is_given_up_when_its_outlet_is_gone(network: Network) -> None:
    nameless = replace(M1, source_id="")
    old, other = Info(nameless), Info(nameless, 1.0)
    network.infos = [old, other]
    search = StreamSearch(StreamSettings(name="M1"), nameless)
    network.now += 10 * SETTLE_S
    assert search.moved(old.uid(), set()) is None
    network.infos = [other]
    assert search.moved(old.uid(), set()) is other


def test_an_outlet_that_was_out_of_reach_is_connected_to_again(network: Network) -> None:
    old = Info(M1)
    search = StreamSearch(StreamSettings(name="M1"), M1)
    network.now += 0.9 * UNREACHABLE_S
    assert search.moved(old.uid(), set()) is None
    network.infos = [old]
    assert search.moved(old.uid(), set()) is None
    network.infos = []
    network.now += 0.2 * UNREACHABLE_S
    assert search.moved(old.uid(), set()) is None
    network.infos = [old]
    assert search.moved(old.uid(), set()) is None  # a rig that was only stopped sends what it has kept first
    network.now += 2 * ANSWERS_S
    assert search.moved(old.uid(), set()) is old
