"""The measured table of the design notes (shared/design/seed-systems.md, A.3), at 250 samples per second."""

import numpy as np
import pytest

from filters import BlockBidirectional, CausalSos, bessel_sos

FREQUENCIES_HZ = [1, 2, 4, 8, 40]

# variant, boundary, delay in ms, white-noise gain, gain at FREQUENCIES_HZ
BLOCK_TABLE = [
    ("high_accuracy", "odd", "65", ".263", ".97/.87/.55/.07/.30"),
    ("low_latency", "odd", "25.7", ".487", ".98/.93/.75/.34/.46"),
    ("high_accuracy", "gust", "63", ".183", ".98/.92/.71/.17/.01"),
    ("high_accuracy", "constant", "65", ".198", ".97/.89/.61/.01/.15"),
    ("low_latency", "constant", "29.7", ".303", ".98/.94/.78/.37/.23"),
    ("low_latency", "gust", "43.9", ".198", ".98/.93/.74/.30/.04"),
]
# order, cutoff, delay in ms, white-noise gain, gain at FREQUENCIES_HZ
CAUSAL_TABLE = [
    (4, 6.25, "81", ".186", ".98/.93/.72/.23/.00"),
    (2, 18.75, "14.4", ".365", "1.0/.99/.98/.91/.17"),
]


def assert_printed(value, printed):
    """Assert that `value` rounds to the printed digits (with room for a second rounding of a 5)."""
    decimals = len(printed.partition(".")[2])
    assert value == pytest.approx(float(printed), abs=0.5 * 10**-decimals + 0.5 * 10 ** -(decimals + 1))


def assert_row(smooth, delay_ms, noise_gain, gains):
    assert_printed(smooth.delay_s * 1000, delay_ms)
    assert_printed(smooth.noise_gain, noise_gain)
    for value, printed in zip(smooth.gain(FREQUENCIES_HZ), gains.split("/"), strict=True):
        assert_printed(value, printed)


@pytest.mark.parametrize(("variant", "boundary", "delay_ms", "noise_gain", "gains"), BLOCK_TABLE)
def test_block_filters_have_the_measured_figures(variant, boundary, delay_ms, noise_gain, gains):
    smooth = BlockBidirectional.from_variant(variant, cutoff_hz=6.25, rate_hz=250.0, boundary=boundary)
    assert_row(smooth, delay_ms, noise_gain, gains)
    assert smooth.lag_s == (0.064 if variant == "high_accuracy" else 0.0)


@pytest.mark.parametrize(("order", "cutoff_hz", "delay_ms", "noise_gain", "gains"), CAUSAL_TABLE)
def test_causal_filters_have_the_measured_figures(order, cutoff_hz, delay_ms, noise_gain, gains):
    smooth = CausalSos(bessel_sos(order, cutoff_hz, 250.0), rate_hz=250.0)
    assert_row(smooth, delay_ms, noise_gain, gains)


@pytest.mark.parametrize(("width", "delay_ms", "noise_gain"), [(48, "96", ".162"), (64, "128", ".158")])
def test_wider_blocks_have_the_measured_figures(width, delay_ms, noise_gain):
    smooth = BlockBidirectional.from_variant("high_accuracy", cutoff_hz=6.25, rate_hz=250.0, width=width)
    assert_printed(smooth.delay_s * 1000, delay_ms)
    assert_printed(smooth.noise_gain, noise_gain)


def test_odd_padding_leaks_at_the_edges_of_the_block():
    middle = BlockBidirectional.from_variant("high_accuracy", cutoff_hz=6.25, rate_hz=250.0).taps
    newest = BlockBidirectional.from_variant("low_latency", cutoff_hz=6.25, rate_hz=250.0).taps
    assert_printed(middle[0], ".19")
    assert_printed(middle[-1], ".13")
    assert_printed(newest[-1], ".47")
    assert np.argmax(newest) == 31
