"""Checks of what a filter does to a signal, against what it declares."""

import numpy as np
from numpy.typing import NDArray

from filters.check_probe import MakeFilter, samples_for, settle_of, span_of

DC_TOLERANCE = 1e-6
GAIN_TOLERANCE = 1e-6
DELAY_TOLERANCE = 1e-3
NYQUIST_FRACTIONS = (0.02, 0.1, 0.3, 0.7, 0.95)
# So slow that the phase is linear even for delays of thousands of samples.
SLOW_RADIANS_PER_SAMPLE = 1e-5


def check_linearity(make_filter: MakeFilter) -> None:
    """Check that the filter of a weighted sum is the weighted sum of the filtered."""
    a = samples_for(make_filter)
    b = np.random.default_rng(3).standard_normal(a.shape)
    combined = make_filter().process(2.5 * a - 0.75 * b)
    separate = 2.5 * make_filter().process(a) - 0.75 * make_filter().process(b)
    error = np.abs(combined - separate).max()
    assert error < 1e-9, f"not linear: a weighted sum is off by {error:.2g}"


def check_constant(make_filter: MakeFilter) -> None:
    """Check that a constant passes unchanged from the first sample on, and that `gain` says so."""
    f = make_filter()
    gain = float(f.gain(0.0))
    assert abs(gain - 1) < DC_TOLERANCE, f"gain at 0 Hz must be 1; got {gain}"
    constant = np.tile(3.0 + np.arange(f.n_channels), (3 * span_of(make_filter), 1))
    error = np.abs(f.process(constant) / constant - 1).max()
    assert error < DC_TOLERANCE, f"a constant must pass unchanged; it is off by {error:.2g} of its value"


def check_gain(make_filter: MakeFilter) -> None:
    """Check `gain` against sinusoids."""
    f = make_filter()
    frequencies = np.array(NYQUIST_FRACTIONS) * f.rate_hz / 2
    declared = f.gain(frequencies)
    assert declared.shape == frequencies.shape, f"gain must keep the shape {frequencies.shape}; got {declared.shape}"
    for frequency, gain in zip(frequencies, declared, strict=True):
        measured = np.abs(_measured_response(make_filter, 2 * np.pi * frequency / f.rate_hz))
        assert np.abs(measured - gain).max() < GAIN_TOLERANCE, (
            f"gain at {frequency:g} Hz is declared as {gain:.6g} and measured as {measured.tolist()}"
        )


def check_delay(make_filter: MakeFilter) -> None:
    """Check `delay_samples`, and a lag that is not a lookahead, against a slow sinusoid."""
    f = make_filter()
    phase = np.angle(_measured_response(make_filter, SLOW_RADIANS_PER_SAMPLE))
    measured = float(-phase.mean() / SLOW_RADIANS_PER_SAMPLE)
    declared = {"delay_samples": f.delay_samples}
    if f.lag_samples != f.lookahead_samples:
        declared["lag_samples"] = f.lag_samples
    for name, value in declared.items():
        assert abs(value - measured) < DELAY_TOLERANCE * max(1.0, abs(measured)), (
            f"{name} is declared as {value:.6g}; a slow sinusoid measures {measured:.6g}"
        )


def check_noise_gain(make_filter: MakeFilter) -> None:
    """Check `noise_gain` against the impulse response, once warm."""
    f = make_filter()
    settle = settle_of(make_filter)
    samples = np.zeros((2 * settle + 1, f.n_channels))
    samples[settle] = 1
    measured = np.linalg.norm(f.process(samples)[settle:], axis=0)
    assert np.allclose(measured, f.noise_gain, rtol=GAIN_TOLERANCE, atol=0), (
        f"noise_gain is declared as {f.noise_gain:.6g}; an impulse measures {measured.tolist()}"
    )


def _measured_response(make_filter: MakeFilter, radians_per_sample: float) -> NDArray[np.complex128]:
    """Return the response (n_channels,) once settled.

    Cosine and sine together are exp(i w t), which a linear filter turns into H exp(i w t).
    """
    f, g = make_filter(), make_filter()
    phase = radians_per_sample * np.arange(settle_of(make_filter) + 1)
    tile = (1, f.n_channels)
    real = f.process(np.tile(np.cos(phase)[:, None], tile))[-1]
    imaginary = g.process(np.tile(np.sin(phase)[:, None], tile))[-1]
    return np.asarray((real + 1j * imaginary) * np.exp(-1j * phase[-1]))


RESPONSE_CHECKS = (
    check_linearity,
    check_constant,
    check_gain,
    check_delay,
    check_noise_gain,
)
