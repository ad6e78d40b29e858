"""Contract suite: what any streaming filter must do, whatever its design."""

from collections.abc import Callable

from filters.check_response import RESPONSE_CHECKS
from filters.check_streaming import STREAMING_CHECKS
from filters.contract import Filter


def check_filter(make_filter: Callable[[], Filter]) -> None:
    """Hold a filter to the contract of `filters.Filter`.

    Checked: the declared figures; equal bits for any chunking and by `step`; reset; state saved in mid-stream
    and loaded into a fresh filter; determinism; channels that do not mix; refusal of wrong input and of wrong
    states; linearity; gain 1 at 0 Hz; `gain` and `delay_samples` against sinusoids; NaN that shows and, with
    a finite memory, passes.

    Parameters
    ----------
    make_filter : callable
        Returns a new filter with no samples seen, the same each time. Called many times.

    Raises
    ------
    AssertionError
        At the first breach; the message says which and how large.

    Examples
    --------
    >>> from filters import CausalSos, bessel_sos
    >>> check_filter(lambda: CausalSos(bessel_sos(2, 10.0, 250.0), 3, rate_hz=250.0))
    """
    for check in STREAMING_CHECKS + RESPONSE_CHECKS:
        check(make_filter)
