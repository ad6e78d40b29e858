"""What the filter checks share: probe signals, comparison bit for bit, expected refusals."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from filters.contract import Filter

MakeFilter = Callable[[], Filter]


def span_of(make_filter: MakeFilter) -> int:
    """Return a number of samples after which the filter is in mid-stream."""
    return make_filter().memory_samples or 32


def settle_of(make_filter: MakeFilter) -> int:
    """Return a number of samples after which start-up has died away."""
    f = make_filter()
    return f.memory_samples or 10_000 + int(60 * abs(f.delay_samples))


def samples_for(make_filter: MakeFilter) -> NDArray[np.float64]:
    """Return white noise (T, n_channels), T three times the span and more."""
    shape = 3 * span_of(make_filter) + 5, make_filter().n_channels
    return np.random.default_rng(0).standard_normal(shape)


def same_bits(got: NDArray[np.float64], want: NDArray[np.float64], message: str) -> None:
    """Fail with `message` unless both arrays are equal, a NaN being equal to a NaN."""
    assert got.shape == want.shape, f"{message}: shape {got.shape} instead of {want.shape}"
    differs = ~((got == want) | (np.isnan(got) & np.isnan(want)))
    assert not differs.any(), (
        f"{message}: first at {np.argwhere(differs)[0].tolist()}, by up to {np.abs(got - want)[differs].max():.2g}"
    )


def refused(act: Callable[[], object], message: str) -> None:
    """Fail with `message` unless `act` raises ValueError or TypeError."""
    try:
        act()
    except (TypeError, ValueError):
        return
    raise AssertionError(f"{message}; it must raise ValueError or TypeError")
