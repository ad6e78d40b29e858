"""The machine's own exponential, which every gate of an LSTM goes through."""

from collections.abc import Callable

import numba
import numpy as np
import pytest

from bmi_decoder.machine.kernels.activation import exp32, log32, log_softplus32, sigmoid32, softplus32, tanh32


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
LOG, LOG_SOFTPLUS = over(log32), over(log_softplus32)
SOFTPLUS = over(softplus32)


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


def test_logarithm_is_accurate_over_all_normal_numbers() -> None:
    x = np.logspace(-37, 38, 1_000_001).astype(np.float32)
    want = np.log(x.astype(np.float64))
    assert (np.abs(LOG(x) - want) / np.maximum(1, np.abs(want))).max() < 2e-7
    assert LOG(np.ones(9, np.float32)).tolist() == [0.0] * 9


def test_log_softplus_is_accurate_and_goes_over_into_the_identity_and_the_logarithm() -> None:
    x = np.concatenate([np.linspace(-100, 100, 1_000_001), np.logspace(2, 38, 1001), -np.logspace(2, 38, 1001)])
    x = x.astype(np.float32)
    exact = x.astype(np.float64)
    # Far below 0 double precision underflows too, and the function is x.
    want = np.where(exact < -40, exact, np.log(np.logaddexp(0, np.maximum(exact, -40))))
    assert (np.abs(LOG_SOFTPLUS(x) - want) / np.maximum(1, np.abs(want))).max() < 2e-6
    assert LOG_SOFTPLUS(np.float32([-np.inf, np.inf])).tolist() == [-np.inf, np.inf]


def test_softplus_is_accurate_in_proportion() -> None:
    x = np.linspace(-80, 80, 1_000_001).astype(np.float32)
    assert np.abs(SOFTPLUS(x) / np.logaddexp(0, x.astype(np.float64)) - 1).max() < 1e-6
    assert SOFTPLUS(np.float32([200, 3e38, np.inf])).tolist() == [200, np.float32(3e38), np.inf]


@pytest.mark.parametrize(
    "function",
    [EXP, SIGMOID, TANH, LOG_SOFTPLUS, SOFTPLUS],
    ids=["exp", "sigmoid", "tanh", "log_softplus", "softplus"],
)
@pytest.mark.parametrize("n", [1, 4, 9, 33])
def test_nan_stays_visible(function: Callable, n: int) -> None:
    """Alone and among numbers, in the vector part of the loop and in its rest."""
    assert np.isnan(function(np.full(n, np.nan, np.float32))).all()
    x = np.linspace(-1, 1, n).astype(np.float32)
    x[n // 2] = np.nan
    assert np.flatnonzero(np.isnan(function(x))).tolist() == [n // 2]
