import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.formats.segments import segments_of_times, usual_step


@given(st.lists(st.integers(2, 20), min_size=1, max_size=6), st.integers(1, 9), st.floats(-0.4, 0.4))
def test_jumps_are_found_and_jitter_is_not(lengths: list[int], missing: int, jitter: float) -> None:
    bins, edges = [], [0]
    for i, length in enumerate(lengths):
        bins.append(edges[-1] + i * missing + np.arange(length))
        edges.append(edges[-1] + length)
    times = np.concatenate(bins) * 0.05
    times[::2] += jitter * 0.05 / 2
    found = segments_of_times(times, 0.05, "test")
    assert found == tuple(itertools.pairwise(edges))
    assert all(type(edge) is int for span in found for edge in span)


def test_half_a_bin_is_the_limit() -> None:
    assert segments_of_times([0, 1, 2, 3.49], 1.0, "test") == ((0, 4),)
    assert segments_of_times([0, 1, 2, 3.51], 1.0, "test") == ((0, 3), (3, 4))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1.0, 0.5])
def test_a_clock_that_does_not_advance_is_named(wrong: float) -> None:
    with pytest.raises(InputError, match=f"got {wrong} after 1.0 at bin 2"):
        segments_of_times([0.0, 1.0, wrong, 3.0], 1.0, "test")


def test_a_wrong_bin_width_is_not_taken_for_gaps() -> None:
    with pytest.raises(InputError, match=r"bin width is 0.05 s, but time advances by 0.1 s"):
        segments_of_times(np.arange(20) * 0.1, 0.05, "test")


def test_steps_that_agree_on_nothing_have_a_median_all_the_same() -> None:
    assert usual_step(np.array([0.0, 0.01, 0.011])) == pytest.approx(0.0055)
