"""Checks of filter settings: what was got, what is allowed, what to do."""

import math
import operator
from collections.abc import Sequence

from filters.errors import FilterDesignError


def check_integer(name: str, value: object, low: int, high: int | None, advice: str) -> int:
    """Return `value` as an int within [`low`, `high`] (`high` None: no upper limit)."""
    allowed = f"an integer from {low} to {high}" if high is not None else f"an integer of at least {low}"
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise FilterDesignError(f"{name} must be {allowed}; got {value!r}. {advice}") from None
    if number < low or (high is not None and number > high):
        raise FilterDesignError(f"{name} must be {allowed}; got {number}. {advice}")
    return number


def check_positive(name: str, value: object, advice: str) -> float:
    """Return `value` as a float that is finite and above 0."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise FilterDesignError(f"{name} must be a finite number above 0; got {value!r}. {advice}")
    return number


def check_choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return `value` if it is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise FilterDesignError(
            f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}. Choose one of these."
        )
    return value
