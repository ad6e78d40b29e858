"""How a session searches, with a search that the test decides on; tests/system has the real one."""

from __future__ import annotations

import math
from collections.abc import Set
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.errors import BmiError
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.wire import Health, Heartbeat, parse
from services.ingest.inlet import StreamLostError
from services.ingest.listing import Listing
from services.ingest.lsl import VisibleStream
from services.worker import finder
from services.worker import session as loop
from services.worker.flight.reader import FlightReader
from services.worker.flight.writer import FlightWriter
from services.worker.publisher import Publisher
from services.worker.session import Session
from tests.control.support import write_linear_bundle


class Info:
    """A resolved stream."""

    def __init__(self, uid: str) -> None:
        self._uid = uid

    def uid(self) -> str:
        return self._uid

    def name(self) -> str:
        return "M1"


class Network:
    """Stands in for the search and for time: what is listed, and what is tried when."""

    def __init__(self, listed: list[str]) -> None:
        self.listed = listed
        self.now = 0.0
        self.tried: list[tuple[str, float]] = []
        self.sent: list[bytes] = []
        self.searching = False
        self.settling = False
        self.candidate = None

    def __call__(self, wanted: StreamSettings, last: VisibleStream | None, listing: Listing | None) -> Network:
        self.searching = True
        return self

    def poll(self, ignored: Set[str] = frozenset()) -> Info | None:
        return next((Info(uid) for uid in self.listed if uid not in ignored), None)

    def report(self) -> str:
        return "nothing there"

    def close(self) -> None:
        self.searching = False

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    health = Publisher.health


class Bench:
    def __init__(self, folder: Path, network: Network, monkeypatch: pytest.MonkeyPatch, **stream: Any) -> None:
        self.network = network
        monkeypatch.setattr(finder, "StreamSearch", network)
        monkeypatch.setattr(finder, "time", network)
        for module in (finder, loop):
            monkeypatch.setattr(module, "local_clock", network.monotonic)
        bundle = write_linear_bundle(folder / "linear.bmi")
        pipeline = Pipeline(read_bundle(bundle))
        flight = folder / "flight"
        session = SessionSettings(name="m1", stream=StreamSettings(name="M1", **stream), decoder="x")
        settings = WorkerSettings(session=session, bundle=str(bundle), flight=str(flight))
        writer = FlightWriter(flight, pipeline.bin_s, math.prod(pipeline.shape), 1)
        self.session = Session(settings, writer, pipeline, cast(Publisher, network))
        self.flight = FlightReader(flight)

    def lose(self, times: int) -> None:
        """Run; each stream that is found is lost at once, and after so many the session stops."""

        def decode_stream(info: Info) -> None:
            assert not self.network.searching, "streams are asked, and answer, while bins come"
            self.network.tried.append((info.uid(), self.network.now))
            self.session.stop = len(self.network.tried) == times
            raise StreamLostError("gone")

        self.session._decode_stream = decode_stream  # type: ignore[method-assign]
        self.session.run()


def test_a_lost_outlet_is_not_taken_back_at_once_but_another_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, Network(["old", "new"]), monkeypatch)
    bench.lose(2)
    assert bench.network.tried == [("old", 0.0), ("new", 0.0)]


def test_an_outlet_that_lives_on_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the connection was lost, for example because a cable was pulled."""
    bench = Bench(tmp_path, Network(["old"]), monkeypatch)
    bench.lose(3)
    assert [uid for uid, _ in bench.network.tried] == ["old"] * 3
    assert bench.network.tried[1][1] >= 1.0
    assert [message.event["event"] for message in map(parse, bench.network.sent) if isinstance(message, Health)] == [
        "lost"
    ]  # of a stream that never came to give a sample


def test_the_search_ends_in_time_with_what_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, Network([]), monkeypatch, search_timeout_s=5.0)
    with pytest.raises(BmiError, match="searched for 5 s: nothing there"):
        bench.session.run()
    assert bench.network.now == pytest.approx(5.0, abs=0.2)
    assert bench.flight.status().state == "searching"
    assert bench.flight.status().message.startswith("searching for ")


def test_a_stream_that_was_found_at_the_last_moment_is_not_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network([])
    network.settling = True
    bench = Bench(tmp_path, network, monkeypatch, search_timeout_s=0.5)
    sleep = network.sleep

    def settle(seconds: float) -> None:
        sleep(seconds)
        network.listed = ["new"] if network.now > 1.0 else []

    network.sleep = settle  # type: ignore[method-assign]
    bench.lose(1)
    assert network.tried[0][0] == "new"


def test_while_it_searches_it_sends_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, Network([]), monkeypatch, search_timeout_s=5.0)
    with pytest.raises(BmiError):
        bench.session.run()
    beats = [message for message in map(parse, bench.network.sent) if isinstance(message, Heartbeat)]
    assert {beat.next_sequence for beat in beats} == {0}
    times = [beat.t_publish for beat in beats]
    assert times[0] == 0
    assert all(later - earlier < 0.6 for earlier, later in pairwise(times))


def test_a_stream_that_was_there_once_is_waited_for_without_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(["old"])
    bench = Bench(tmp_path, network, monkeypatch, search_timeout_s=5.0)
    sleep = network.sleep

    def sleep_until_noon(seconds: float) -> None:
        sleep(seconds)
        network.listed = ["new"] if network.now > 1000 else []

    network.sleep = sleep_until_noon  # type: ignore[method-assign]
    bench.lose(2)
    assert [uid for uid, _ in network.tried][:1] == ["old"]
    assert network.tried[-1][0] == "new"
    assert network.now > 1000
