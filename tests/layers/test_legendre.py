"""The Legendre memory's matrices against scipy, and what such a memory holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import cont2discrete

from bmi_decoder.layers.legendre import largest_coefficient, legendre_matrices

CASES = [(1, 3.0), (4, 7.0), (6, 50.0), (7, 10.0), (12, 12.5)]


def continuous(order: int, window: float) -> tuple[np.ndarray, np.ndarray]:
    """The differential equation, element by element."""
    a, b = np.zeros((order, order)), np.zeros((order, 1))
    for i in range(order):
        b[i, 0] = (2 * i + 1) * (-1) ** i / window
        for j in range(order):
            a[i, j] = (2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1)) / window
    return a, b


@pytest.mark.parametrize(("order", "window"), CASES)
def test_zero_order_hold_is_that_of_scipy(order: int, window: float) -> None:
    a, b = continuous(order, window)
    want_a, want_b, *_ = cont2discrete((a, b, np.eye(order), np.zeros((order, 1))), dt=1.0, method="zoh")
    abar, bbar = legendre_matrices(order, window)
    np.testing.assert_allclose(abar, want_a, rtol=0, atol=1e-12)
    np.testing.assert_allclose(bbar, want_b[:, 0], rtol=0, atol=1e-12)


def test_the_memory_holds_the_window() -> None:
    """What went in k bins ago is read with the shifted Legendre polynomials at k / window."""
    order, window = 9, 60.0
    abar, bbar = legendre_matrices(order, window)
    t = np.arange(600)
    signal = 0.5 + 0.4 * np.sin(2 * np.pi * t / 75)
    m = np.zeros(order)
    for value in signal:
        m = abar @ m + bbar * value
    for ago in (5, 15, 30, 45, 55):
        polynomials = [np.polynomial.legendre.Legendre.basis(i)(2 * ago / window - 1) for i in range(order)]
        assert m @ polynomials == pytest.approx(signal[-1 - ago], abs=0.03)


@pytest.mark.parametrize(("order", "window"), CASES)
def test_bound_of_the_coefficients_is_reached_and_not_passed(order: int, window: float) -> None:
    """The input that reaches it is 1 where the response of the largest coefficient has one sign."""
    abar, bbar = legendre_matrices(order, window)
    bound = largest_coefficient(abar, bbar, window)
    n_bins = int(20 * window) + 2
    responses = np.stack([np.linalg.matrix_power(abar, k) @ bbar for k in range(n_bins)])
    positive = np.where(responses > 0, responses, 0).sum(0)
    negative = np.where(responses < 0, -responses, 0).sum(0)
    assert max(positive.max(), negative.max()) <= bound
    assert bound == pytest.approx((positive + negative).max(), rel=1e-6)


@pytest.mark.parametrize(("order", "window"), [(0, 3.0), (3, 0.0), (3, float("nan"))])
def test_impossible_memories_are_refused(order: int, window: float) -> None:
    with pytest.raises(ValueError, match="order of 1 at least and a window above 0 bins"):
        legendre_matrices(order, window)
