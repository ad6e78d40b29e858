"""When two bin widths are one."""

from __future__ import annotations

import math

_TOLERANCE = 1e-3


def same_bin_width(one_s: float, other_s: float) -> bool:
    """Whether two bin widths, in seconds, differ by a thousandth at most, as a rate that was measured or rounded may.

    Examples
    --------
    >>> same_bin_width(0.004, 1 / 250.1), same_bin_width(0.004, 1 / 251)
    (True, False)
    """
    return math.isclose(one_s, other_s, rel_tol=_TOLERANCE)
