"""Two decoders on the same bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.config import BlockFilterSettings, OutputFilterSettings
from bmi_decoder.errors import InputError
from bmi_decoder.evaluation.paired import paired
from bmi_decoder.evaluation.r2 import mean_r2
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Output, Recording
from tests.control.support import BIN_S, N_CHANNELS, write_linear_bundle

OUTPUTS = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))


def recording(n_channels: int = N_CHANNELS) -> Recording:
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (600, n_channels))
    movement = counts.sum(1, keepdims=True) + rng.normal(size=(600, 2))
    return Recording(counts, movement, OUTPUTS, BIN_S, segments=((0, 480), (480, 600)))


def test_both_are_judged_on_the_same_bins(tmp_path: Path) -> None:
    good, bad = (read_bundle(write_linear_bundle(tmp_path / f"{gain}.bmi", gain)) for gain in (1.0, 0.5))
    data = recording()
    told = paired(good, bad, None, data, {"validation": (400, 500), "test": (500, 600)})
    assert told["trained_on_it"] is False
    raw = told["validation"]["raw"]
    assert raw["bins"] == 100
    for name, bundle in (("new", good), ("in_use", bad)):
        estimate = Pipeline(bundle).decode(data)[400:500, 0]
        assert raw[name]["r2"] == pytest.approx(mean_r2(data.kinematics[400:500], estimate), rel=1e-12)
    assert raw["new"]["r2"] > 0.7 > raw["in_use"]["r2"]
    # The filter of 32 bins warms up again behind the segment border.
    assert told["validation"]["low_latency"]["bins"] == 80 and told["test"]["low_latency"]["bins"] == 89


def test_filters_of_the_session_stand_behind_both(tmp_path: Path) -> None:
    bundle = read_bundle(write_linear_bundle(tmp_path / "a.bmi"))
    filters = OutputFilterSettings(high_accuracy=BlockFilterSettings(cutoff_hz=20, width=16))
    told = paired(bundle, bundle, filters, recording(), {"test": (0, 480)})
    assert told["test"].keys() == {"raw", "high_accuracy"}
    assert told["test"]["high_accuracy"]["new"] == told["test"]["high_accuracy"]["in_use"]


def test_a_decoder_for_other_streams(tmp_path: Path) -> None:
    bundle = read_bundle(write_linear_bundle(tmp_path / "a.bmi"))
    for other in (
        write_linear_bundle(tmp_path / "b.bmi", n_channels=4),
        write_linear_bundle(tmp_path / "c.bmi", bin_s=0.02),
        write_linear_bundle(tmp_path / "d.bmi", unit="px/s"),
    ):
        with pytest.raises(InputError):
            paired(bundle, read_bundle(other), None, recording(), {"test": (0, 480)})
