"""The machine's own exponential, which every gate of an LSTM goes through."""

from collections.abc import Callable

import numba
import numpy as np
import pytest

from bmi_decoder.machine.kernels.activation import exp32, sigmoid32, tanh32


def over(function: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """The function over an array, in a loop that LLVM may vectorise as in the kernels."""

    @numba.njit(error_model="numpy")
    def loop(x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            y[i] = function(x[i])

    def apply(x: np.ndarray) -> np.ndarray:
        y = np.empty_like(x)
        loop(x, y)
        return y

    return apply


EXP, SIGMOID, TANH = over(exp32), over(sigmoid32), over(tanh32)


def test_exponential_is_accurate_in_its_range() -> None:
    x = np.linspace(-87, 88, 1_000_001).astype(np.float32)
    assert np.abs(EXP(x) / np.exp(x.astype(np.float64)) - 1).max() < 2e-7
    assert EXP(np.zeros(9, np.float32)).tolist() == [1.0] * 9


def test_exponential_is_limited_outside_its_range() -> None:
    edges = EXP(np.float32([-87, 88]))
    assert EXP(np.float32([-88, -1e30, -np.inf])).tolist() == [edges[0]] * 3
    assert EXP(np.float32([89, 1e30, np.inf])).tolist() == [edges[1]] * 3
    assert np.isfinite(edges).all()


@pytest.mark.parametrize(
    ("function", "reference"),
    [(SIGMOID, lambda x: 1 / (1 + np.exp(-x))), (TANH, np.tanh)],
    ids=["sigmoid", "tanh"],
)
def test_sigmoid_and_tanh_are_accurate(function: Callable, reference: Callable) -> None:
    x = np.linspace(-60, 60, 1_000_001).astype(np.float32)
    assert np.abs(function(x) - reference(x.astype(np.float64))).max() < 2e-7


def test_sigmoid_and_tanh_saturate() -> None:
    extremes = np.float32([-np.inf, -3e38, -200, 200, 3e38, np.inf])
    assert np.allclose(SIGMOID(extremes), [0, 0, 0, 1, 1, 1], rtol=0, atol=1e-37)
    assert TANH(extremes).tolist() == [-1, -1, -1, 1, 1, 1]
    assert SIGMOID(np.float32([0])).tolist() == [0.5]
    assert TANH(np.float32([0])).tolist() == [0]


@pytest.mark.parametrize("function", [EXP, SIGMOID, TANH], ids=["exp", "sigmoid", "tanh"])
@pytest.mark.parametrize("n", [1, 4, 9, 33])
def test_nan_stays_visible(function: Callable, n: int) -> None:
    """Alone and among numbers, in the vector part of the loop and in its rest."""
    assert np.isnan(function(np.full(n, np.nan, np.float32))).all()
    x = np.linspace(-1, 1, n).astype(np.float32)
    x[n // 2] = np.nan
    assert np.flatnonzero(np.isnan(function(x))).tolist() == [n // 2]
