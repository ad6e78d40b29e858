import numpy as np
import pytest
from scipy import signal

from filters import FilterDesignError, bessel_sos, sos_response, taps_response
from filters.design import check_sos, sos_delay, sos_order

PAPER = (4, 6.25, 250.0)


def test_paper_coefficients():
    b, a = signal.sos2tf(bessel_sos(*PAPER))
    np.testing.assert_allclose(a, [1, -3.52128953, 4.66464099, -2.75465658, 0.61178669], atol=5e-9)
    # The design notes print 3.0100e-5; what their own denominator asks for at 0 Hz is 3.0098e-5.
    np.testing.assert_allclose(b, 3.0100e-5 * np.array([1, 4, 6, 4, 1]), rtol=1e-4)


@pytest.mark.parametrize(("passes", "corner_hz"), [(1, 4.14), (2, 2.99)])
def test_paper_corner_frequencies(passes, corner_hz):
    below, above = np.abs(sos_response(bessel_sos(*PAPER), [corner_hz - 0.01, corner_hz + 0.01], 250.0))
    assert below**passes > np.sqrt(0.5) > above**passes


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(6.25, 250.0), (2.0, 20.0), (40.0, 1000.0)])
def test_response_at_the_cutoff_is_that_of_the_analog_filter(order, cutoff_hz, rate_hz):
    sos = bessel_sos(order, cutoff_hz, rate_hz)
    b, a = signal.bessel(order, 1.0, norm="phase", analog=True)
    _, expected = signal.freqs(b, a, [1.0])
    assert sos_response(sos, cutoff_hz, rate_hz) == pytest.approx(expected[0], abs=1e-9)
    assert sos_order(sos) == order


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(6.25, 250.0), (5.0, 1000.0), (9.9, 20.0)])
def test_sections_are_those_of_scipy_to_the_last_bits(order, cutoff_hz, rate_hz):
    expected = signal.bessel(order, cutoff_hz, norm="phase", output="sos", fs=rate_hz)
    sos = bessel_sos(order, cutoff_hz, rate_hz)
    np.testing.assert_allclose(sos[:, 3:], expected[:, 3:], rtol=1e-12, atol=0)
    # In odd orders scipy puts the single zero elsewhere.
    np.testing.assert_allclose(signal.sos2tf(sos)[0], signal.sos2tf(expected)[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
def test_response_and_delay_agree_with_scipy(order):
    sos = bessel_sos(order, 25.0, 250.0)
    b, a = signal.bessel(order, 25.0, norm="phase", fs=250.0)
    frequencies = np.array([[0.0, 1.0, 8.0], [25.0, 80.0, 124.0]])
    _, expected = signal.freqz(b, a, frequencies.ravel(), fs=250.0)
    np.testing.assert_allclose(sos_response(sos, frequencies, 250.0), expected.reshape(frequencies.shape), atol=1e-10)
    _, delay = signal.group_delay((b, a), [1e-4])
    assert sos_delay(sos) == pytest.approx(delay[0], rel=1e-6)


def test_taps_response_agrees_with_scipy():
    taps = np.random.default_rng(0).standard_normal(9)
    frequencies = np.array([0.0, 3.0, 41.0, 125.0])
    _, expected = signal.freqz(taps[::-1], 1, frequencies, fs=250.0, include_nyquist=True)
    np.testing.assert_allclose(taps_response(taps, frequencies, 250.0), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0, 5, 250), r"order must be an integer from 1 to 8; got 0\. Order 4"),
        ((9, 5, 250), "order must be an integer from 1 to 8; got 9"),
        ((4.0, 5, 250), r"order must be an integer from 1 to 8; got 4\.0"),
        ((True, 5, 250), "order must be an integer from 1 to 8; got True"),
        ((4, 0, 250), r"cutoff_hz must be a finite number above 0; got 0\. Choose .* 125 Hz"),
        ((4, -1.0, 250), "cutoff_hz must be a finite number above 0; got -1.0"),
        ((4, np.nan, 250), "cutoff_hz must be a finite number above 0; got nan"),
        ((4, "5", 250), "cutoff_hz must be a finite number above 0; got '5'"),
        ((4, None, 250), "cutoff_hz must be a finite number above 0; got None"),
        ((4, 125, 250), r"cutoff_hz must be below rate_hz / 2 = 125; got 125\. Choose"),
        ((4, 5, 0), "rate_hz must be a finite number above 0; got 0"),
        ((4, 5, np.inf), "rate_hz must be a finite number above 0; got inf"),
        ((4, 1e-6, 1000), r"cutoff_hz must be high enough .* got 1e-06\. Raise the cutoff"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(FilterDesignError, match=message):
        bessel_sos(*settings)


GOOD_SECTION = [0.25, 0.5, 0.25, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("sos", "message"),
    [
        ([GOOD_SECTION[:5]], r"shape \(n_sections, 6\); got \(1, 5\)"),
        (GOOD_SECTION, r"shape \(n_sections, 6\); got \(6,\)"),
        (np.zeros((0, 6)), r"shape \(n_sections, 6\); got \(0, 6\)"),
        ("low-pass", "sos must be numbers"),
        ([[np.nan, 0.5, 0.25, 1, 0, 0]], "sos must be finite"),
        ([[0.25, 0.5, 0.25, 2, 0, 0]], "a0 = 1"),
        ([[0.1, 0, 0, 1, -1.1, 0.2]], None),
        ([[0.25, 0.5, 0.25, 1, 0, 1.0]], "sos must be stable"),
        ([[0.1, 0, 0, 1, -2.1, 0.99]], "sos must be stable"),
        (signal.bessel(2, 0.3, "high", output="sos"), "sos must have gain 1 at 0 Hz"),
    ],
)
def test_bad_sections_are_named(sos, message):
    if message is None:
        np.testing.assert_array_equal(check_sos(sos), sos)
        return
    with pytest.raises(FilterDesignError, match=message):
        check_sos(sos)


@pytest.mark.parametrize("frequency", [-1.0, 125.1, np.nan])
def test_frequencies_beyond_the_rate_are_refused(frequency):
    with pytest.raises(FilterDesignError, match=r"frequencies_hz must be from 0 to rate_hz / 2 = 125"):
        sos_response(bessel_sos(*PAPER), [1.0, frequency], 250.0)
