from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.evaluation.report.scale import Scale, label, linear_ticks, padded

finite = st.floats(-1e6, 1e6)


@given(finite, st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_lie_in_the_range_and_are_few(low: float, size: float, wanted: int) -> None:
    if low + size == low:
        return
    ticks = linear_ticks(low, low + size, wanted)
    room = 1e-6 * (size + abs(low))
    assert all(low - room <= tick <= low + size + room for tick in ticks)
    assert len(ticks) <= 2.5 * wanted + 2
    assert ticks == sorted(ticks)


def test_a_logarithmic_axis_has_equal_steps_per_factor() -> None:
    scale = Scale(1.0, 10_000.0, 0.0, 400.0, log=True)
    assert [scale(10.0**k) for k in range(5)] == pytest.approx([0, 100, 200, 300, 400])
    assert scale.ticks() == [1, 10, 100, 1000, 10_000]
    assert Scale(80.0, 600.0, 0.0, 1.0, log=True).ticks() == [100, 200, 500]


def test_a_range_that_is_a_point_gets_a_width() -> None:
    for low, high in (padded(0.0, 0.0), padded(3.0, 3.0), padded(-1.0, 2.0)):
        assert low < high


@pytest.mark.parametrize(("value", "text"), [(-0.5, "−0.5"), (12_000.0, "12k"), (0.0, "0")])
def test_ticks_are_written_short(value: float, text: str) -> None:
    assert label(value) == text
