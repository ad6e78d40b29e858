"""Bessel low-pass design, and what a design does to a signal."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filters.bessel import bessel_sections
from filters.errors import FilterDesignError
from filters.settings import check_integer, check_positive

MAX_ORDER = 8
DC_TOLERANCE = 1e-6


def bessel_sos(order: int, cutoff_hz: float, rate_hz: float) -> NDArray[np.float64]:
    """Design a digital Bessel low-pass filter.

    Parameters
    ----------
    order : int
        1 to 8.
    cutoff_hz : float
        Phase-matched corner frequency, between 0 and `rate_hz` / 2. The -3 dB point lies lower: at 0.66 of
        the corner for order 4.
    rate_hz : float
        Samples per second.

    Returns
    -------
    array (n_sections, 6)
        Second-order sections, gain 1 at 0 Hz.

    Raises
    ------
    FilterDesignError
        If a setting is out of range, or the cutoff is too low for double precision at this rate.

    Notes
    -----
    The design of Zhou, Sun & Basu 2025, Neuromorph. Comput. Eng. 5 014013: order 4, 6.25 Hz at 250 Hz.

    Examples
    --------
    >>> bessel_sos(4, 6.25, 250.0).shape
    (2, 6)
    """
    order = check_integer("order", order, 1, MAX_ORDER, "Order 4 is the usual choice.")
    rate_hz = check_positive("rate_hz", rate_hz, "Give the number of samples per second.")
    advice = f"Choose a frequency between 0 and half the sample rate, {rate_hz / 2:g} Hz."
    cutoff_hz = check_positive("cutoff_hz", cutoff_hz, advice)
    if cutoff_hz >= rate_hz / 2:
        raise FilterDesignError(f"cutoff_hz must be below rate_hz / 2 = {rate_hz / 2:g}; got {cutoff_hz:g}. {advice}")
    try:
        return check_sos(bessel_sections(order, cutoff_hz / rate_hz))
    except FilterDesignError:
        raise FilterDesignError(
            f"cutoff_hz must be high enough against rate_hz = {rate_hz:g} for double precision; "
            f"got {cutoff_hz:g}. Raise the cutoff or lower the sample rate."
        ) from None


def check_sos(sos: ArrayLike) -> NDArray[np.float64]:
    """Return `sos` as float64 (n_sections, 6) if it is a stable filter that passes a constant unchanged.

    Parameters
    ----------
    sos : array (n_sections, 6)
        Second-order sections b0 b1 b2 a0 a1 a2, with a0 equal to 1.

    Returns
    -------
    array (n_sections, 6)
        A copy.

    Raises
    ------
    FilterDesignError
        If the sections are malformed, unstable, or have a gain other than 1 at 0 Hz.
    """
    advice = "Make them with filters.bessel_sos."
    try:
        sections = np.array(sos, dtype=np.float64)
    except (TypeError, ValueError):
        raise FilterDesignError(f"sos must be numbers of shape (n_sections, 6); got {sos!r}. {advice}") from None
    if sections.ndim != 2 or sections.shape[1] != 6 or not len(sections):
        raise FilterDesignError(f"sos must have shape (n_sections, 6); got {sections.shape}. {advice}")
    if not np.isfinite(sections).all() or not (sections[:, 3] == 1).all():
        raise FilterDesignError(f"sos must be finite with a0 = 1 in every section; got {sections.tolist()}. {advice}")
    a1, a2 = sections[:, 4], sections[:, 5]
    if not ((np.abs(a2) < 1) & (np.abs(a1) < 1 + a2)).all():
        raise FilterDesignError(
            f"sos must be stable, with all poles inside the unit circle; got {sections.tolist()}. {advice}"
        )
    dc_gain = float(np.prod(sections[:, :3].sum(axis=1) / sections[:, 3:].sum(axis=1)))
    if abs(dc_gain - 1) > DC_TOLERANCE:
        raise FilterDesignError(f"sos must have gain 1 at 0 Hz (a low-pass filter); got gain {dc_gain:g}. {advice}")
    return sections


def sos_order(sos: NDArray[np.float64]) -> int:
    """Return the filter order of second-order sections; a first-order section counts 1."""
    return 2 * len(sos) - int(min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum()))


def sos_delay(sos: NDArray[np.float64]) -> float:
    """Return the group delay at 0 Hz, in samples."""
    b, a = sos[:, :3], sos[:, 3:]
    age = np.arange(3.0)
    return float((b @ age / b.sum(axis=1) - a @ age / a.sum(axis=1)).sum())


def sos_response(sos: NDArray[np.float64], frequencies_hz: ArrayLike, rate_hz: float) -> NDArray[np.complex128]:
    """Return the frequency response of second-order sections.

    Parameters
    ----------
    sos : array (n_sections, 6)
        Second-order sections.
    frequencies_hz : array
        Frequencies from 0 to `rate_hz` / 2.
    rate_hz : float
        Samples per second.

    Returns
    -------
    complex array, shape of `frequencies_hz`
        Gain is its magnitude; a negative phase is a delay.
    """
    delays = _unit_delays(frequencies_hz, rate_hz, 3)
    return np.asarray(np.prod((delays @ sos[:, :3].T) / (delays @ sos[:, 3:].T), axis=-1))


def taps_response(taps: NDArray[np.float64], frequencies_hz: ArrayLike, rate_hz: float) -> NDArray[np.complex128]:
    """Return the frequency response of FIR taps, relative to the newest sample.

    Parameters
    ----------
    taps : array (width,)
        Weights, oldest sample first.
    frequencies_hz : array
        Frequencies from 0 to `rate_hz` / 2.
    rate_hz : float
        Samples per second.

    Returns
    -------
    complex array, shape of `frequencies_hz`
        Gain is its magnitude; a negative phase is a delay.
    """
    return np.asarray(_unit_delays(frequencies_hz, rate_hz, len(taps)) @ taps[::-1])


def _unit_delays(frequencies_hz: ArrayLike, rate_hz: float, n: int) -> NDArray[np.complex128]:
    frequencies = np.asarray(frequencies_hz, dtype=np.float64)
    if not ((frequencies >= 0) & (frequencies <= rate_hz / 2)).all():
        raise FilterDesignError(
            f"frequencies_hz must be from 0 to rate_hz / 2 = {rate_hz / 2:g}; got {frequencies.tolist()}. "
            "Leave out the frequencies that this sample rate cannot carry."
        )
    return np.asarray(np.exp(-2j * np.pi * frequencies[..., None] / rate_hz * np.arange(n)))
