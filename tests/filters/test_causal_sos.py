import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from filters import CausalSos, FilterDesignError, FilterInputError, bessel_sos


def make(order=4, cutoff_hz=6.25, rate_hz=250.0, n_channels=2):
    return CausalSos(bessel_sos(order, cutoff_hz, rate_hz), n_channels, rate_hz=rate_hz)


def noise(n_samples, n_channels=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_channels))


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(6.25, 250.0), (2.0, 20.0), (40.0, 1000.0)])
def test_is_lfilter_started_at_rest_on_the_first_sample(order, cutoff_hz, rate_hz):
    samples = noise(200)
    b, a = signal.bessel(order, cutoff_hz, norm="phase", fs=rate_hz)
    expected, _ = signal.lfilter(b, a, samples, axis=0, zi=signal.lfilter_zi(b, a)[:, None] * samples[0])
    got = make(order, cutoff_hz, rate_hz).process(samples)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)


def test_a_constant_has_no_transient():
    constant = np.tile([3.0, -1e6], (50, 1))
    np.testing.assert_allclose(make().process(constant), constant, rtol=1e-12)


@pytest.mark.parametrize(("order", "cutoff_hz"), [(1, 0.5), (2, 18.75), (3, 120.0), (8, 3.0)])
def test_noise_gain_is_the_norm_of_the_impulse_response(order, cutoff_hz):
    impulse = np.zeros(20_000)
    impulse[0] = 1
    expected = np.linalg.norm(signal.sosfilt(bessel_sos(order, cutoff_hz, 250.0), impulse))
    assert make(order, cutoff_hz).noise_gain == pytest.approx(expected, rel=1e-9)


def test_figures_of_a_causal_filter():
    smooth = make()
    assert smooth.lookahead_samples == 0
    assert smooth.memory_samples is None
    assert not smooth.warming_up
    assert smooth.lag_samples == smooth.delay_samples == pytest.approx(20.337, abs=1e-3)
    assert smooth.lag_s == smooth.delay_s == smooth.lag_samples / 250.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_input_stays_in_its_channel_until_reset(bad):
    samples = noise(60)
    clean = make().process(samples)
    spoilt = samples.copy()
    spoilt[20, 0] = bad
    smooth = make()
    out = smooth.process(spoilt)
    assert not np.isfinite(out[20:, 0]).any()
    np.testing.assert_array_equal(out[:, 1], clean[:, 1])
    smooth.reset()
    np.testing.assert_array_equal(smooth.process(samples), clean)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), max_size=12),
    order=st.integers(1, 8),
    n_channels=st.sampled_from([1, 2, 5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_chunking_does_not_change_a_bit(lengths, order, n_channels, seed):
    samples = noise(sum(lengths), n_channels, seed)
    whole = make(order, n_channels=n_channels).process(samples)
    chunked, stepped = make(order, n_channels=n_channels), make(order, n_channels=n_channels)
    parts = [chunked.process(part) for part in np.split(samples, np.cumsum(lengths))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert b"".join(stepped.step(x).tobytes() for x in samples) == whole.tobytes()


def test_wrong_settings_samples_and_states_are_named():
    with pytest.raises(FilterDesignError, match="n_channels must be an integer of at least 1; got -2"):
        make(n_channels=-2)
    with pytest.raises(FilterDesignError, match=r"sos must have shape \(n_sections, 6\); got \(2, 5\)"):
        CausalSos(np.zeros((2, 5)), rate_hz=250.0)
    with pytest.raises(FilterInputError, match=r"shape \(T, 2\), samples by channels; got shape \(4,\)"):
        make().process(np.zeros(4))
    with pytest.raises(FilterInputError, match=r"'sections' must be float64 \(2, 2, 2\); got float64 \(3, 2, 2\)"):
        make().load_state(make(order=6).state())


def test_sections_cannot_be_changed_from_outside():
    smooth = make()
    smooth.sos[:] = 0
    np.testing.assert_array_equal(smooth.sos, bessel_sos(4, 6.25, 250.0))
