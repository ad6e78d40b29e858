"""Server-sent events of a real server."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from bmi_decoder.client import ControlClient, ControlError
from bmi_decoder.events import AnyEvent, GapEvent, HealthEvent, SessionEvent, StateEvent, SwapEvent
from tests.control.test_serve import Serve, Server, run_session, running, serve
from tests.waiting import eventually

__all__ = ["serve"]
Read = Callable[..., "Reader"]
pytestmark = pytest.mark.system


class Reader:
    """Collects events in a thread."""

    def __init__(self, url: str, last_id: str | None = None) -> None:
        self.events: list[AnyEvent] = []
        self._client = ControlClient(url)
        self._last_id = last_id
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(RuntimeError):  # the client has been closed
            for event in self._client.events(last_id=self._last_id):
                self.events.append(event)

    def close(self) -> None:
        self._client.close()

    def until(self, **wanted: object) -> AnyEvent:
        """Wait for an event that has these values."""

        def find() -> list[AnyEvent]:
            return [e for e in self.events if all(getattr(e, name, None) == wanted[name] for name in wanted)]

        found: list[AnyEvent] = eventually(find, bool)
        return found[0]


@pytest.fixture
def read() -> Iterator[Read]:
    readers: list[Reader] = []

    def read_(server: Server, last_id: str | None = None) -> Reader:
        readers.append(Reader(server.url, last_id))
        return readers[-1]

    yield read_
    for reader in readers:
        reader.close()


@pytest.fixture
def server(serve: Serve) -> Iterator[Server]:
    yield serve()


def test_a_session_from_creation_to_deletion(
    server: Server, bundle: Path, other_bundle: Path, stream_name: str, read: Read
) -> None:
    client = server.client
    decoder = client.upload_decoder(bundle).id
    client.create_session("before", stream_name, decoder)
    reader = read(server, "old")
    assert isinstance(reader.until(session="before"), SessionEvent)
    client.create_session("m1", stream_name, decoder)
    client.start_session("m1")
    started = reader.until(type="state", session="m1", state="running")
    assert isinstance(started, StateEvent)
    assert started.endpoint == client.session("m1").endpoint
    assert isinstance(reader.until(type="health", session="m1", event="connected"), HealthEvent)
    running(server)

    client.change_session("m1", decoder=client.upload_decoder(other_bundle).id)
    begun = reader.until(type="swap", outcome="started")
    done = reader.until(type="swap", outcome="switched")
    assert isinstance(begun, SwapEvent) and isinstance(done, SwapEvent)
    assert [(swap.revision, swap.former) for swap in (begun, done)] == [(2, 1), (2, 1)]
    heard = reader.until(type="health", event="swap")
    assert isinstance(heard, HealthEvent) and heard.details["revision"] == 2

    client.stop_session("m1")
    reader.until(type="state", session="m1", state="stopped", revision=2)
    client.delete_session("m1")
    reader.until(type="session", session="m1", action="deleted")
    numbers = [int(event.id.partition("-")[2]) for event in reader.events]
    assert numbers == sorted(set(numbers))


def test_a_death_is_told(server: Server, bundle: Path, stream_name: str, read: Read) -> None:
    pid = run_session(server, bundle, stream_name).pid
    reader = read(server, "old")
    reader.until(type="state", state="running")
    assert pid is not None
    psutil.Process(pid).send_signal(signal.SIGKILL)
    told = eventually(lambda: [event for event in reader.events if "signal 9" in getattr(event, "message", "")], bool)
    assert [(event.state, event.restarts) for event in told] == [("starting", 0)]
    reader.until(type="state", state="running", restarts=1)


def test_a_reader_that_is_connected_does_not_hold_up_the_end(server: Server) -> None:
    with httpx.stream("GET", f"{server.url}/v1/events", headers={"Last-Event-ID": "old"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "event: gap"
        assert server.end(signal.SIGTERM) == 0
        assert not [line for line in lines if line.startswith("event:")]


def test_an_event_stream_goes_on_with_the_next_control_plane(serve: Serve, bundle: Path, read: Read) -> None:
    first = serve()
    reader = read(first, "old")
    decoder = first.client.upload_decoder(bundle).id
    first.client.create_session("m1", "M1", decoder)
    last = reader.until(type="session", session="m1")
    first.end(signal.SIGKILL)
    assert isinstance(read(serve(), last.id).until(type="gap"), GapEvent)


def test_refusals_reach_the_user(server: Server) -> None:
    with pytest.raises(ControlError) as caught:
        next(server.client.events(last_id="x" * 65))
    assert caught.value.status == 422
    server.end(signal.SIGTERM)
    with pytest.raises(ControlError, match="is bmi-decoder serve running"):
        next(server.client.events())
