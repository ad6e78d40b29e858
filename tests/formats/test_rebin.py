import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_recording, rebin
from bmi_decoder.recording import Output, Recording


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(2, 7), st.integers(0, 9))
def test_each_segment_is_joined_on_its_own(lengths: list[int], factor: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.cumsum([0, *lengths]).tolist()
    spans = tuple(itertools.pairwise(edges))
    counts, kinematics = rng.integers(0, 250, (edges[-1], 2)), rng.standard_normal((edges[-1], 1))
    narrow = Recording(counts, kinematics, (Output("v", "m/s"),), 0.004, t0=3.0, segments=spans)
    expected = [
        (counts[i : i + factor].sum(0), kinematics[i : i + factor].mean(0))
        for start, stop in spans
        for i in range(start, stop - factor + 1, factor)
    ]
    if not expected:
        with pytest.raises(InputError, match="no segment is as long"):
            rebin(narrow, 0.004 * factor)
        return
    wide = rebin(narrow, 0.004 * factor)
    assert np.array_equal(wide.counts, [row for row, _ in expected])
    assert np.allclose(wide.kinematics, [row for _, row in expected], rtol=1e-12, atol=1e-15)
    assert [stop - start for start, stop in wide.spans] == [n // factor for n in lengths if n >= factor]
    first = next(start for start, stop in spans if stop - start >= factor)
    assert wide.t0 == 3.0 + first * 0.004
    assert wide.bin_s == 0.004 * factor


def test_same_width_gives_the_recording_back(recording: Recording) -> None:
    assert rebin(recording, 0.02) is recording


@pytest.mark.parametrize("bin_s", [0.03, 0.01, 0.0, -0.02, float("nan"), float("inf")])
def test_only_multiples_are_possible(bin_s: float, recording: Recording) -> None:
    with pytest.raises(InputError, match=r"integer multiple, for example 0.0[24]"):
        rebin(recording, bin_s)


def test_names_and_labels_are_kept(recording: Recording) -> None:
    wide = rebin(recording, 0.04)
    assert (wide.outputs, wide.labels, wide.source) == (recording.outputs, recording.labels, recording.source)


def test_read_recording_joins_bins(samples, recording: Recording) -> None:
    wide = read_recording(samples["npz"], bin_s=0.1)
    assert wide.fingerprint() == rebin(recording, 0.1).fingerprint()
    assert wide.spans == ((0, 3), (3, 7))
