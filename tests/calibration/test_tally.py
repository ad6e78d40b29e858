"""What of two streams can be used, and what is refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bmi_decoder.config import SplitSettings
from bmi_decoder.errors import InputError
from bmi_decoder.formats.alignment import Alignment, align
from bmi_decoder.formats.xdf_streams import XdfStream
from services.calibration.tally import check_counts, check_enough, describe, tally

BIN_S, T = 0.01, 1000
ENDS = 5.0 + BIN_S * np.arange(T)
SPLIT = SplitSettings(train=0.7, validation=0.15, test=0.15)


def stream(kind: str, times: npt.NDArray[np.float64], values: npt.NDArray[np.float64], rate_hz: float) -> XdfStream:
    n = values.shape[1]
    labels = tuple(f"{kind}{i}" for i in range(n))
    return XdfStream(kind, kind, "float32", n, rate_hz, labels, ("m/s",) * n, times, values, (), 1.0)


def aligned(kept: npt.NDArray[np.intp] | None = None, moved_until: int = T, still: int | None = None) -> Alignment:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (T, 3)).astype(float)
    movement = rng.normal(size=(T, 2))
    if still is not None:
        movement[:still] = 0.25
    kept = np.arange(T) if kept is None else kept
    neural = stream("spikes", ENDS[kept], counts[kept], 1 / BIN_S)
    return align(neural, stream("kinematics", ENDS[:moved_until], movement[:moved_until], 1 / BIN_S), "test")


def test_lost_and_unusable_bins_are_told_apart_and_kept_out() -> None:
    kept = np.r_[0:300, 340:T]
    alignment = aligned(kept, moved_until=900)
    counted = tally(alignment)
    assert (counted["usable"], counted["lost"], counted["unusable"]) == (860, 40, {"no movement": 100})
    assert describe(counted) == "860 bins usable, 40 lost, 100 unusable (no movement)"
    recording = alignment.recording("test")
    assert recording.spans == ((0, 300), (300, 860))
    assert [output.unit for output in recording.outputs] == ["m/s", "m/s"]


def test_counts_that_are_no_numbers() -> None:
    values = np.ones((T, 3))
    values[100:110, 1] = np.nan
    movement = stream("kinematics", ENDS, np.random.default_rng(0).normal(size=(T, 2)), 1 / BIN_S)
    alignment = align(stream("spikes", ENDS, values, 1 / BIN_S), movement, "test")
    assert tally(alignment)["unusable"] == {"counts are not finite": 10}
    check_counts(alignment)
    values[500, 2] = 0.5
    with pytest.raises(InputError, match=r"no spike counts: got 0.5 on channel 2"):
        check_counts(align(stream("spikes", ENDS, values, 1 / BIN_S), movement, "test"))


@pytest.mark.parametrize(("still", "part"), [(T, "training"), (700, "training"), (None, "")])
def test_where_nothing_moves(still: int | None, part: str) -> None:
    alignment = aligned(still=still)
    recording, counted = alignment.recording("test"), tally(alignment)
    if still is None:
        check_enough(recording, SPLIT, counted)
        return
    with pytest.raises(InputError, match=rf"nothing moved in the {part} part: kinematics0 is 0.25 m/s, "):
        check_enough(recording, SPLIT, counted)


def test_too_little() -> None:
    alignment = aligned(moved_until=300)
    with pytest.raises(InputError, match="too little was collected: 300 bins usable, 0 lost, 700 unusable"):
        check_enough(alignment.recording("test"), SPLIT, tally(alignment))
