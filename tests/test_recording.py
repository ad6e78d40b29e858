import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.recording import Output, Recording

OUTPUTS = (Output("x_velocity", "m/s"),)


def _recording(**changes: Any) -> Recording:
    arguments: dict[str, Any] = {
        "counts": np.arange(20).reshape(10, 2),
        "kinematics": np.linspace(0, 1, 10)[:, None],
        "outputs": OUTPUTS,
        "bin_s": 0.05,
        "t0": 2.0,
        "source": "a test",
    }
    return Recording(**(arguments | changes))


def _with(value: float) -> np.ndarray:
    counts = np.zeros((10, 2))
    counts[4, 1] = value
    return counts


def test_defaults_are_filled_in() -> None:
    recording = _recording()
    assert recording.labels == ("ch0", "ch1")
    assert recording.spans == ((0, 10),)
    assert (recording.n_bins, recording.n_channels, recording.n_outputs) == (10, 2, 1)
    assert recording.duration_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("counts", "dtype"),
    [
        (np.ones((10, 2), bool), np.uint8),
        (np.full((10, 2), 255.0), np.uint8),
        (np.full((10, 2), 256, np.int64), np.uint16),
    ],
)
def test_counts_take_the_narrowest_unsigned_type(counts: np.ndarray, dtype: type) -> None:
    recording = _recording(counts=counts)
    assert recording.counts.dtype == dtype
    assert np.array_equal(recording.counts, counts)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"counts": np.zeros(10)}, r"non-empty \(bins, channels\) array, got shape \(10,\)"),
        ({"counts": np.zeros((0, 2))}, "non-empty"),
        ({"counts": np.zeros((10, 2), complex)}, "counts must be numbers, got dtype complex128"),
        ({"counts": np.full((10, 2), "a")}, "counts must be numbers"),
        ({"counts": _with(-1)}, "must not be negative, got -1.0 at bin 4, channel 1"),
        ({"counts": _with(-1).astype(int)}, "must not be negative, got -1 at bin 4, channel 1"),
        ({"counts": _with(0.5)}, "whole numbers, got 0.5 at bin 4, channel 1"),
        ({"counts": _with(np.nan)}, "whole numbers, got nan at bin 4, channel 1"),
        ({"counts": np.zeros((9, 2), int)}, "9 bins of counts but 10 of kinematics"),
        ({"kinematics": np.zeros(10)}, "kinematics must be a"),
        ({"kinematics": _with(np.inf)[:, 1:]}, "must be finite, got inf at bin 4, column 0"),
        ({"outputs": ()}, "1 kinematic columns but 0 names"),
        ({"bin_s": 0.0}, "bin width must be a positive"),
        ({"bin_s": float("nan")}, "bin width must be a positive"),
        ({"channels": ("a",)}, "2 channels but 1 labels"),
        ({"segments": ()}, "must tile 0:10"),
        ({"segments": ((0, 5), (6, 10))}, "must tile 0:10"),
        ({"segments": ((0, 6), (5, 10))}, "must tile 0:10"),
        ({"segments": ((0, 5), (5, 5), (5, 10))}, "must tile 0:10"),
        ({"segments": ((0, 9),)}, "must tile 0:10"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=f"a test: .*{reason}"):
        _recording(**changes)


@given(st.integers(0, 9), st.integers(1, 10), st.sets(st.integers(1, 9)))
def test_a_slice_keeps_bins_time_and_borders(start: int, length: int, borders: set[int]) -> None:
    stop = min(10, start + length)
    edges = [0, *sorted(borders), 10]
    recording = _recording(segments=tuple(itertools.pairwise(edges)))
    part = recording.slice(start, stop)
    assert np.array_equal(part.counts, recording.counts[start:stop])
    assert np.array_equal(part.kinematics, recording.kinematics[start:stop])
    assert part.t0 == pytest.approx(2.0 + 0.05 * start)
    inner = sorted(border - start for border in borders if start < border < stop)
    assert [a for a, _ in part.spans] == [0, *inner]
    assert part.spans[-1][1] == stop - start
    assert (part.labels, part.source) == (recording.labels, recording.source)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (0, 11), (5, 5), (6, 2)])
def test_a_slice_outside_is_refused(start: int, stop: int) -> None:
    with pytest.raises(InputError, match="are not inside 0:10"):
        _recording().slice(start, stop)


@pytest.mark.parametrize(
    "changes",
    [
        {"counts": np.arange(1, 21).reshape(10, 2)},
        {"kinematics": np.zeros((10, 1))},
        {"outputs": (Output("x_velocity", "mm/s"),)},
        {"bin_s": 0.04},
        {"segments": ((0, 5), (5, 10))},
    ],
)
def test_the_fingerprint_tells_training_data_apart(changes: dict[str, Any]) -> None:
    assert _recording(**changes).fingerprint() != _recording().fingerprint()


def test_the_fingerprint_does_not_depend_on_memory_layout() -> None:
    recording = _recording()
    same = _recording(
        counts=np.asfortranarray(recording.counts, dtype=np.float64),
        kinematics=np.asfortranarray(recording.kinematics),
        source="elsewhere",
    )
    assert same.fingerprint() == recording.fingerprint()


def test_numpy_scalars_and_lists_become_plain_values() -> None:
    recording = _recording()
    same = replace(
        recording,
        bin_s=np.float64(recording.bin_s),
        t0=np.float64(recording.t0),
        segments=[list(map(np.int64, span)) for span in recording.spans],
    )
    assert type(same.bin_s) is float and type(same.t0) is float
    assert all(type(edge) is int for span in same.spans for edge in span)
    assert same.fingerprint() == recording.fingerprint()
