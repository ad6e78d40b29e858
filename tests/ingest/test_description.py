from __future__ import annotations

import pylsl
import pytest

from services.ingest.description import RigDescription, read_description, write_description


@pytest.fixture
def info() -> pylsl.StreamInfo:
    return pylsl.StreamInfo("M1", "spikes", 2, 250.0, "float32", "test")


@pytest.mark.parametrize("speed", [1.0, 0.1, 100.0, 1 / 3])
def test_round_trip(info: pylsl.StreamInfo, speed: float) -> None:
    write_description(info, RigDescription(speed), ["a", "b"], ["spikes", "spikes"])
    assert read_description(info) == RigDescription(speed)
    assert info.get_channel_labels() == ["a", "b"]
    assert info.get_channel_units() == ["spikes", "spikes"]


def test_a_stream_of_another_maker_is_live(info: pylsl.StreamInfo) -> None:
    assert read_description(info) == RigDescription(1.0)


@pytest.mark.parametrize("speed", ["", "fast", "0", "-1", "nan", "inf", "1e300"])
def test_nonsense_is_live(info: pylsl.StreamInfo, speed: str) -> None:
    info.desc().append_child("bmi_decoder").append_child_value("speed", speed)
    assert read_description(info) == RigDescription(1.0)
