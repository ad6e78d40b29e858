"""A stream that a session cannot decode gives one clear error, and no worker stays behind."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pylsl
import pytest

from bmi_decoder.rest_models import SessionStatus
from tests.control.support import N_CHANNELS
from tests.system.conftest import Control, StartSession
from tests.waiting import eventually


@dataclass(frozen=True)
class Outlet:
    """A stream that fits the linear decoder, but for what a test changes."""

    type: str = "spikes"
    n_channels: int = N_CHANNELS
    rate_hz: float = 250.0
    channel_format: str = "float32"
    source_id: str = "rig-1"

    def open(self, name: str) -> pylsl.StreamOutlet:
        info = pylsl.StreamInfo(
            name, self.type, self.n_channels, self.rate_hz, self.channel_format, f"{name}-{self.source_id}"
        )
        return pylsl.StreamOutlet(info)


def failure(control: Control, start_session: StartSession, bundle: Path, **settings: Any) -> SessionStatus:
    """The status of a session that must fail."""
    live = start_session(bundle, **settings)
    live.wait_state("failed")
    # It says so a moment before its process ends.
    status = eventually(lambda: live.status, lambda status: status.pid is None)
    assert (status.state, status.exit_code, status.restarts) == ("failed", 1, 0)
    assert control.workers() == []
    assert "\n" not in status.message
    assert live.received.estimates == []
    return status


@pytest.mark.parametrize(
    ("outlet", "words"),
    [
        (Outlet(n_channels=7), ["has 7 channels, the decoder was trained on 8", "choose another stream or decoder"]),
        (Outlet(type="EEG"), ["has type 'EEG', the session expects 'spikes'", "correct 'type'"]),
        (Outlet(rate_hz=100.0), ["has 100 samples/s", "whole multiple of 250 bins/s", "Choose a decoder"]),
        (Outlet(rate_hz=0.0), ["has an irregular rate", "one sample per bin"]),
        (Outlet(channel_format="string"), ["carries string samples; a decoder needs numbers"]),
    ],
    ids=["channels", "type", "rate", "irregular", "string"],
)
def test_a_stream_that_does_not_fit(
    outlet: Outlet,
    words: list[str],
    control: Control,
    start_session: StartSession,
    linear_bundle: Path,
    stream_name: str,
) -> None:
    opened = outlet.open(stream_name)
    status = failure(control, start_session, linear_bundle)
    del opened
    for word in [f"stream {stream_name!r}", *words]:
        assert word in status.message


def test_two_streams_of_one_name(
    control: Control, start_session: StartSession, linear_bundle: Path, stream_name: str
) -> None:
    opened = [Outlet(source_id=source_id).open(stream_name) for source_id in ("rig-1", "rig-2")]
    status = failure(control, start_session, linear_bundle)
    assert f"2 streams are named {stream_name!r}" in status.message
    assert f"one 'source_id' of '{stream_name}-rig-1', '{stream_name}-rig-2'" in status.message
    opened.clear()
    chosen = start_session(linear_bundle, stream={"source_id": f"{stream_name}-rig-2"})
    # Only then the streams: a subscriber that is still connecting would miss the event.
    chosen.wait_connected()
    opened += [Outlet(source_id=source_id).open(stream_name) for source_id in ("rig-1", "rig-2")]
    chosen.received.until_event("connected")
    assert chosen.received.events[0]["source_id"] == f"{stream_name}-rig-2"
    del opened


def test_no_such_stream(control: Control, start_session: StartSession, linear_bundle: Path, stream_name: str) -> None:
    other = Outlet().open(f"{stream_name}-other")
    status = failure(control, start_session, linear_bundle, stream={"search_timeout_s": 2.0})
    assert f"searched for 2 s: no stream named {stream_name!r} of type 'spikes'" in status.message
    assert f"{stream_name}-other" in status.message
    assert "Start the rig, or correct the session's stream" in status.message
    del other


def test_a_taken_endpoint(control: Control, start_session: StartSession, linear_bundle: Path, stream_name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        status = failure(control, start_session, linear_bundle, endpoint=endpoint)
    assert f"cannot publish on {endpoint}: it is taken by another program" in status.message
    assert "port 0 picks a free one" in status.message
