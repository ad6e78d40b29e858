"""Scalar activation functions that LLVM can vectorise, unlike calls into libm."""

import numba
import numpy as np

from bmi_decoder.machine.kernels.jit import FAST

_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_C0, _C1, _C2, _C3, _C4, _C5 = (
    np.float32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
_LOWEST, _HIGHEST = np.float32(-87), np.float32(88)
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)


@numba.njit(fastmath=FAST, inline="always")
def exp32(x):  # type: ignore[no-untyped-def]
    """Exponential in float32, relative error below 2e-7 in [-87, 88], limited outside; NaN stays NaN.

    Range reduction by ln 2 in two parts and the degree-5 minimax polynomial of Cephes ``expf`` (S. Moshier).
    """
    z = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(z * _LOG2_E + _HALF)
    r = z - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_C0 * r + _C1) * r + _C2) * r + _C3) * r + _C4) * r + _C5
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p * r * r + r + _ONE) * power


@numba.njit(fastmath=FAST, inline="always")
def sigmoid32(x):  # type: ignore[no-untyped-def]
    """Logistic function in float32."""
    return _ONE / (_ONE + exp32(-x))


@numba.njit(fastmath=FAST, inline="always")
def tanh32(x):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent in float32, absolute error below 2e-7."""
    return _TWO / (_ONE + exp32(-_TWO * x)) - _ONE
