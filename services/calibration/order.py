"""What a calibration collects."""

from __future__ import annotations

from pydantic import Field

from bmi_decoder.config import Settings, SplitSettings
from bmi_decoder.jobs import KinematicsStream, NeuralStream


class CollectOrder(Settings):
    """Which streams, for how long, and where to."""

    neural: NeuralStream
    kinematics: KinematicsStream
    seconds: float = Field(gt=0, description="Of the time of the stream: a replay at speed X takes an Xth of it.")
    split: SplitSettings = Field(description="Each part must hold movement.")
    bin_s: float = Field(gt=0, description="Bins that will be trained on.")
    recording: str = Field(description="Path of the recording to write.")
    report: str = Field(description="Path of a JSON file with what was collected.")
