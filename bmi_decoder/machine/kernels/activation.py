"""Scalar activation functions that LLVM can vectorise, unlike calls into libm."""

import numpy as np

from bmi_decoder.machine.kernels.jit import scalar_kernel

_LOG2_E = np.float32(1.44269504088896341)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_C0, _C1, _C2, _C3, _C4, _C5 = (
    np.float32(c)
    for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
_LOWEST, _HIGHEST = np.float32(-87), np.float32(88)
_SQRT_HALF, _LARGEST = np.float32(0.70710678), np.float32(3.4028235e38)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7, _L8 = (
    np.float32(c)
    for c in (
        7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
        2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    )
)  # fmt: skip
_SMALL, _LARGE, _THIRD, _QUARTER = np.float32(-4), np.float32(20), np.float32(1 / 3), np.float32(0.25)
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)


@scalar_kernel
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


@scalar_kernel
def sigmoid32(x):  # type: ignore[no-untyped-def]
    """Logistic function in float32."""
    return _ONE / (_ONE + exp32(-x))


@scalar_kernel
def tanh32(x):  # type: ignore[no-untyped-def]
    """Hyperbolic tangent in float32, absolute error below 2e-7."""
    return _TWO / (_ONE + exp32(-_TWO * x)) - _ONE


@scalar_kernel
def log32(x):  # type: ignore[no-untyped-def]
    """Natural logarithm in float32 of a normal, positive, finite number, absolute error below 2e-7 max(1, |log x|).

    Mantissa and exponent apart, and the degree-8 minimax polynomial of Cephes ``logf`` (S. Moshier).
    """
    bits = np.float32(x).view(np.int32)
    mantissa = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F000000)).view(np.float32)
    low = mantissa < _SQRT_HALF
    e = np.float32((bits >> np.int32(23)) - np.int32(126)) - (_ONE if low else np.float32(0))
    m = (mantissa + mantissa if low else mantissa) - _ONE
    z = m * m
    p = (((((((_L0 * m + _L1) * m + _L2) * m + _L3) * m + _L4) * m + _L5) * m + _L6) * m + _L7) * m + _L8
    return (p * m * z + e * _LN2_LOW - _HALF * z + m) + e * _LN2_HIGH


@scalar_kernel
def log_softplus32(x):  # type: ignore[no-untyped-def]
    """``log(log(1 + exp(x)))`` in float32, absolute error below 2e-6 max(1, |result|).

    Below -4, where 1 + exp(x) would lose digits, from the series of log(1 + e) / e; above 20 the logarithm of x.
    """
    e = exp32(x if x < _LARGE else _LARGE)
    ratio = _ONE - e * (_HALF - e * (_THIRD - e * _QUARTER))
    middle = log32(_ONE + (e if x >= _SMALL else _ONE))
    y = log32(ratio if x < _SMALL else (middle if x <= _LARGE else x))
    y = x + y if x < _SMALL else y
    return y if x <= _LARGEST else x


@scalar_kernel
def softplus32(x):  # type: ignore[no-untyped-def]
    """``log(1 + exp(x))`` in float32, relative error below 1e-6; NaN stays NaN.

    With e = exp(-|x|) it is max(x, 0) + log(1 + e), and log(1 + e) = 2 artanh(e / (2 + e)), whose argument is a third
    at most: eight terms of the series reach the last bit.
    """
    e = exp32(-abs(x))
    s = e / (_TWO + e)
    z = s * s
    series = _ONE / np.float32(15)
    for odd in (13, 11, 9, 7, 5, 3, 1):
        series = series * z + _ONE / np.float32(odd)
    return max(x, np.float32(0)) + _TWO * s * series
