import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal

from filters import (
    BOUNDARIES,
    VARIANTS,
    BlockBidirectional,
    FilterDesignError,
    FilterInputError,
    bessel_sos,
    block_taps,
    minimum_width,
    variant_position,
)
from filters.block_fir import ROWS_PER_PASS

# order, cutoff in Hz, rate in Hz, width
DESIGNS = [
    (4, 6.25, 250.0, 32),
    (4, 6.25, 250.0, 16),
    (1, 2.0, 20.0, 7),
    (2, 3.0, 20.0, 20),
    (3, 20.0, 1000.0, 64),
    (4, 60.0, 1000.0, 33),
    (5, 100.0, 1000.0, 50),
    (6, 45.0, 250.0, 40),
]


def paper_filter(variant="high_accuracy", n_channels=2, **options):
    return BlockBidirectional.from_variant(variant, cutoff_hz=6.25, rate_hz=250.0, n_channels=n_channels, **options)


def noise(n_samples, n_channels=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n_samples, n_channels))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("order", "cutoff_hz", "rate_hz", "width"), DESIGNS)
def test_is_filtfilt_over_each_block(order, cutoff_hz, rate_hz, width, boundary, variant):
    smooth = BlockBidirectional.from_variant(
        variant,
        cutoff_hz=cutoff_hz,
        rate_hz=rate_hz,
        order=order,
        width=width,
        boundary=boundary,
        n_channels=2,
    )
    samples = noise(3 * width)
    b, a = signal.bessel(order, cutoff_hz, norm="phase", fs=rate_hz)
    options = {"method": "gust"} if boundary == "gust" else {"padtype": boundary}
    blocks = sliding_window_view(samples, width, axis=0)
    # With 'gust' scipy's own rows miss a constant by up to 2e-9.
    expected = signal.filtfilt(b, a, blocks, axis=-1, **options)[..., smooth.position]
    np.testing.assert_allclose(
        smooth.process(samples)[width - 1 :], expected, rtol=0, atol=1e-8 if boundary == "gust" else 1e-9
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_the_form_of_the_sections_does_not_matter(order, boundary):
    scipys = signal.bessel(order, 25.0, norm="phase", output="sos", fs=250.0)
    taps = [block_taps(sos, 32, 31, boundary) for sos in (scipys, bessel_sos(order, 25.0, 250.0))]
    np.testing.assert_allclose(*taps, rtol=0, atol=1e-12)


@pytest.mark.parametrize("boundary", ["odd", "constant"])
@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize(("cutoff_hz", "rate_hz"), [(5.0, 1000.0), (0.5, 20.0), (6.25, 250.0)])
def test_is_sosfiltfilt_over_each_block_at_low_cutoffs_too(order, cutoff_hz, rate_hz, boundary):
    sos = signal.bessel(order, cutoff_hz, norm="phase", output="sos", fs=rate_hz)
    blocks = noise(40, 48)
    expected = signal.sosfiltfilt(sos, blocks, axis=1, padtype=boundary)
    for position in (0, 23, 47):
        taps = block_taps(bessel_sos(order, cutoff_hz, rate_hz), 48, position, boundary)
        np.testing.assert_allclose(blocks @ taps, expected[:, position], rtol=0, atol=1e-9)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("order", "cutoff_hz", "rate_hz", "width"), DESIGNS)
def test_every_row_is_that_of_scipy_to_the_last_bits(order, cutoff_hz, rate_hz, width, boundary):
    sos = bessel_sos(order, cutoff_hz, rate_hz)
    b, a = signal.bessel(order, cutoff_hz, norm="phase", fs=rate_hz)
    rows = np.array([block_taps(sos, width, position, boundary) for position in range(width)])
    if boundary == "gust":
        # Scipy's own sums are off by as much.
        expected, last_bits = signal.filtfilt(b, a, np.eye(width), axis=0, method="gust"), 1e-8
    else:
        expected, last_bits = signal.sosfiltfilt(sos, np.eye(width), axis=0, padtype=boundary), 1e-13
    np.testing.assert_allclose(rows, expected, rtol=0, atol=last_bits)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-9)


def test_high_accuracy_centres_an_impulse_once_shifted_by_its_lag():
    smooth = paper_filter(n_channels=1, boundary="gust")
    impulse = np.zeros((150, 1))
    impulse[80] = 1
    assert np.argmax(smooth.process(impulse)) - smooth.lag_samples == 80


@pytest.mark.parametrize(
    ("variant", "width", "position", "lag"),
    [
        ("low_latency", 32, 31, 0),
        ("high_accuracy", 32, 15, 16),
        ("low_latency", 33, 32, 0),
        ("high_accuracy", 33, 15, 17),
    ],
)
def test_variants_choose_the_row_and_the_lag(variant, width, position, lag):
    assert variant_position(variant, width) == position
    smooth = paper_filter(variant, width=width)
    assert (smooth.position, smooth.lag_samples, smooth.lookahead_samples) == (position, lag, lag)
    assert smooth.lag_s == lag / 250.0


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_minimum_width_is_the_shortest_that_works(order, boundary):
    cutoff_hz = 100.0
    sos = bessel_sos(order, cutoff_hz, 250.0)
    width = minimum_width(order, boundary)
    assert minimum_width(sos, boundary) == width
    assert width == (2 * order if boundary == "gust" else 3 * (order + 1) + 1)
    assert block_taps(sos, width, width - 1, boundary).shape == (width,)
    with pytest.raises(FilterDesignError, match=f"width must be an integer of at least {width}; got {width - 1}"):
        block_taps(sos, width - 1, 0, boundary)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_gust_below_its_minimum_width_would_not_keep_a_constant(order):
    b, a = signal.bessel(order, 0.8, norm="phase")
    width = minimum_width(order, "gust")
    below, least = (signal.filtfilt(b, a, np.ones(n), method="gust") for n in (width - 1, width))
    assert np.abs(below - 1).max() > 0.01
    np.testing.assert_allclose(least, 1, atol=1e-9)


def test_gust_that_cannot_be_resolved_is_refused():
    with pytest.raises(FilterDesignError, match=r"boundary 'gust' must keep a constant .* order 6 over 64"):
        block_taps(bessel_sos(6, 5.0, 1000.0), 64, 63, "gust")


def test_input_passes_through_until_the_block_is_full():
    smooth = paper_filter()
    samples = noise(40)
    out = []
    for i, x in enumerate(samples):
        assert smooth.warming_up == (i < 32)
        out.append(smooth.step(x))
        assert smooth.warming_up == (i < 31)
    np.testing.assert_array_equal(out[:31], samples[:31])
    assert (np.array(out[31:]) != samples[31:]).all()


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 50), max_size=12),
    n_channels=st.sampled_from([1, 2, 5]),
    variant=st.sampled_from(VARIANTS),
    seed=st.integers(0, 2**32 - 1),
)
def test_chunking_does_not_change_a_bit(lengths, n_channels, variant, seed):
    samples = noise(sum(lengths), n_channels, seed)
    whole = paper_filter(variant, n_channels).process(samples)
    chunked, stepped = paper_filter(variant, n_channels), paper_filter(variant, n_channels)
    parts = [chunked.process(part) for part in np.split(samples, np.cumsum(lengths))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert b"".join(stepped.step(x).tobytes() for x in samples) == whole.tobytes()


def test_a_long_recording_is_not_seamed_where_passes_meet():
    samples = noise(2 * ROWS_PER_PASS + 100, 1)
    whole = paper_filter(n_channels=1).process(samples)
    chunked = paper_filter(n_channels=1)
    parts = [chunked.process(part) for part in np.split(samples, [1, 3000, 4095, 4097, 8190])]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_input_shows_for_one_block_and_then_is_gone(bad):
    samples = noise(120)
    clean = paper_filter().process(samples)
    samples[50, 0] = bad
    samples[60, 0] = -bad
    out = paper_filter().process(samples)
    assert not np.isfinite(out[50:92, 0]).any()
    np.testing.assert_array_equal(out[92:], clean[92:])
    np.testing.assert_array_equal(out[:50], clean[:50])
    np.testing.assert_array_equal(out[:, 1], clean[:, 1])
    stepping = paper_filter()
    np.testing.assert_array_equal([stepping.step(x) for x in samples], out)


def test_taps_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        paper_filter().taps[0] = 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "last"}, "variant must be one of 'low_latency', 'high_accuracy'; got 'last'"),
        ({"boundary": "even"}, "boundary must be one of 'odd', 'constant', 'gust'; got 'even'"),
        ({"width": 15}, r"width must be an integer of at least 16; got 15\. A filter of order 4 .* widen"),
        ({"width": 32.0}, r"width must be an integer of at least 2; got 32\.0"),
        ({"n_channels": 0}, r"n_channels must be an integer of at least 1; got 0\. Give the number of"),
        ({"order": 12}, "order must be an integer from 1 to 8; got 12"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(FilterDesignError, match=message):
        paper_filter(**options)


@pytest.mark.parametrize("position", [-1, 32, 1.5])
def test_position_is_within_the_block(position):
    with pytest.raises(FilterDesignError, match=rf"position must be an integer from 0 to 31; got {position}"):
        BlockBidirectional(bessel_sos(4, 6.25, 250.0), 32, position, rate_hz=250.0)


@pytest.mark.parametrize("rate_hz", [0, -250.0, np.nan, "fast"])
def test_rate_is_a_positive_number(rate_hz):
    with pytest.raises(FilterDesignError, match="rate_hz must be a finite number above 0; got"):
        BlockBidirectional(bessel_sos(4, 6.25, 250.0), 32, 15, rate_hz=rate_hz)


def test_wrong_samples_are_named():
    smooth = paper_filter()
    with pytest.raises(FilterInputError, match=r"shape \(T, 2\), samples by channels; got shape \(5, 3\)\. Sel"):
        smooth.process(np.zeros((5, 3)))
    with pytest.raises(FilterInputError, match=r"shape \(2,\), one value per channel; got shape \(3,\)"):
        smooth.step(np.zeros(3))
    with pytest.raises(FilterInputError, match=r"real numbers; got dtype complex128\. Convert"):
        smooth.step(np.zeros(2, dtype=complex))


def test_wrong_states_are_named():
    smooth = paper_filter()
    good = smooth.state()
    with pytest.raises(FilterInputError, match=r"must hold \['history', 'seen'\]; got \['seen'\]"):
        smooth.load_state({"seen": good["seen"]})
    with pytest.raises(FilterInputError, match=r"'history' must be float64 \(31, 2\); got float64 \(31, 3\)"):
        smooth.load_state(paper_filter(n_channels=3).state())
    with pytest.raises(FilterInputError, match=r"'history' must be float64 \(31, 2\); got float32"):
        smooth.load_state(good | {"history": good["history"].astype(np.float32)})
    for seen in (-1, 33):
        with pytest.raises(FilterInputError, match=f"'seen' must be from 0 to the width, 32; got {seen}"):
            smooth.load_state(good | {"seen": np.array(seen)})
