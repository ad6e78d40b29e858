"""Which streams a calibration accepts."""

from __future__ import annotations

import dataclasses

import pylsl
import pytest

from bmi_decoder.config import SplitSettings
from bmi_decoder.errors import InputError
from bmi_decoder.rest_models import OutputInfo
from services.calibration.streams import check_kinematics, check_neural, check_pair, check_seconds
from services.ingest.description import RigDescription
from services.ingest.found import FoundStream
from services.ingest.lsl import VisibleStream

VISIBLE = VisibleStream("M", "kinematics", 2, 250.0, "id", "host", "float32")
STREAM = FoundStream(
    pylsl.StreamInfo("M", "kinematics", 2), VISIBLE, RigDescription(), ("x_velocity", "y_velocity"), ("m/s", "m/s")
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": ()}, "the labels of all its 2 channels"),
        ({"labels": ("x", "")}, "the labels of all"),
        ({"labels": ("x", "x")}, "the labels of all"),
        ({"units": ()}, "the units of all"),
        ({"units": ("m/s", "")}, "the units of all"),
        ({"visible": dataclasses.replace(VISIBLE, rate_hz=0.0)}, "irregular rate"),
        ({"visible": dataclasses.replace(VISIBLE, channel_format="string")}, "movement must be numbers"),
    ],
)
def test_kinematics_that_cannot_be_used(change: dict[str, object], words: str) -> None:
    check_kinematics(STREAM, None)
    with pytest.raises(InputError, match=words):
        check_kinematics(dataclasses.replace(STREAM, **change), None)


def test_outputs_stand_for_a_missing_description() -> None:
    silent = dataclasses.replace(STREAM, labels=(), units=())
    check_kinematics(silent, [OutputInfo(name="x", unit="m"), OutputInfo(name="y", unit="m")])
    with pytest.raises(InputError, match="has 2 channels, 'outputs' names 1"):
        check_kinematics(silent, [OutputInfo(name="x", unit="m")])


def test_neural_stream_of_text() -> None:
    with pytest.raises(InputError, match="spike counts must be numbers"):
        check_neural(dataclasses.replace(STREAM, visible=dataclasses.replace(VISIBLE, channel_format="string")))


def test_streams_of_two_rigs() -> None:
    with pytest.raises(InputError, match="a replay at 1 times real time, 'M' at 4"):
        check_pair(STREAM, dataclasses.replace(STREAM, description=RigDescription(4.0)))


def test_the_time_that_is_needed_is_said_and_enough() -> None:
    split = SplitSettings(train=0.7, validation=0.15, test=0.15)
    with pytest.raises(InputError, match=r"1 s are too few.*Collect 1\.8 s at least"):
        check_seconds(1.0, split, 0.004)
    check_seconds(1.8, split, 0.004)
    first, second = split.bounds(round(1.8 / 0.004))
    assert min(second - first, round(1.8 / 0.004) - second) >= 64
