from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bmi_decoder.config import StreamSettings
from bmi_decoder.errors import StreamMismatchError
from services.ingest.description import RigDescription
from services.ingest.expectation import StreamLayout, check_stream, select
from services.ingest.lsl import VisibleStream

STREAM = VisibleStream("M1", "spikes", 96, 250.0, "rig-1", "host", "float32")
WANTED = StreamSettings(name="M1")
LIVE = RigDescription()


def test_the_stream_of_that_name() -> None:
    others = [replace(STREAM, name="M2"), replace(STREAM, name="M1-kinematics", type="kinematics")]
    assert select([*others, STREAM], WANTED) == STREAM


@pytest.mark.parametrize("streams", [[], [replace(STREAM, name="M2")], [replace(STREAM, name="m1")]])
def test_not_there_yet(streams: list[VisibleStream]) -> None:
    assert select(streams, WANTED) is None


def test_another_type_is_an_error() -> None:
    with pytest.raises(StreamMismatchError, match="has type 'EEG', the session expects 'spikes': correct 'type'"):
        select([replace(STREAM, type="EEG")], WANTED)


def test_two_streams_of_one_name_and_different_types() -> None:
    assert select([replace(STREAM, type="EEG"), STREAM], WANTED) == STREAM


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"source_id": "rig-2"}, "give the session's stream one 'source_id' of 'rig-1', 'rig-2'"),
        ({"hostname": "elsewhere"}, "they share the source_id 'rig-1', give each rig its own or stop one"),
    ],
)
def test_two_streams_are_an_error(change: dict[str, Any], remedy: str) -> None:
    with pytest.raises(StreamMismatchError, match=f"2 streams are named 'M1': {remedy}"):
        select([STREAM, replace(STREAM, **change)], WANTED)


def test_source_id_chooses() -> None:
    other = replace(STREAM, source_id="rig-2")
    assert select([STREAM, other], StreamSettings(name="M1", source_id="rig-2")) == other
    assert select([STREAM], StreamSettings(name="M1", source_id="rig-2")) is None


def test_one_outlet_seen_twice_is_one_stream() -> None:
    assert select([STREAM, STREAM], WANTED) == STREAM


@pytest.mark.parametrize(
    ("rate_hz", "speed", "bin_s", "layout"),
    [
        (250.0, 1.0, 0.004, StreamLayout(1, 1 / 250)),
        (1000.0, 1.0, 0.02, StreamLayout(20, 1 / 1000)),
        (30_000.0, 1.0, 0.05, StreamLayout(1500, 1 / 30_000)),
        (2000.0, 100.0, 0.05, StreamLayout(1, 1 / 2000)),
        (249.5, 1.0, 0.004, StreamLayout(1, 1 / 249.5)),
    ],
)
def test_layout(rate_hz: float, speed: float, bin_s: float, layout: StreamLayout) -> None:
    assert check_stream(replace(STREAM, rate_hz=rate_hz), RigDescription(speed), 96, bin_s) == layout


@pytest.mark.parametrize("channel_format", ["float32", "double64", "int8", "int16", "int32", "int64"])
def test_numbers_of_every_format(channel_format: str) -> None:
    check_stream(replace(STREAM, channel_format=channel_format), LIVE, 96, 0.004)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel_format": "string"}, "carries string samples; a decoder needs numbers"),
        ({"channel_format": "undefined"}, "carries undefined samples"),
        ({"n_channels": 95}, "has 95 channels, the decoder was trained on 96: choose another stream or decoder"),
        ({"rate_hz": 0.0}, "has an irregular rate; a decoder needs .* 4 ms bin"),
        ({"rate_hz": 100.0}, "has 100 samples/s, .* 4 ms: the rate must be a whole multiple of 250 bins/s. Choose"),
        ({"rate_hz": 375.0}, "has 375 samples/s"),
        ({"rate_hz": 255.0}, "has 255 samples/s"),
    ],
)
def test_a_stream_that_does_not_fit(change: dict[str, Any], message: str) -> None:
    with pytest.raises(StreamMismatchError, match=f"stream 'M1' {message}"):
        check_stream(replace(STREAM, **change), LIVE, 96, 0.004)


def test_a_fast_replay_at_the_wrong_rate_says_so() -> None:
    with pytest.raises(StreamMismatchError, match=r"1500 samples/s \(a replay at 10 times real time\)"):
        check_stream(replace(STREAM, rate_hz=1500.0), RigDescription(10.0), 96, 0.004)
