"""Options that several benches share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TypeVar

from bmi_decoder.errors import InputError
from services.bench.bandwidth import cache_bytes

N = TypeVar("N", int, float)


def positive(number: type[N]) -> Callable[[str], N]:
    """An argument's type: a number above 0."""

    def parse(text: str) -> N:
        try:
            value = number(text)
        except ValueError:
            value = number(0)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"must be {_KINDS[number]} above 0, got {text!r}")
        return value

    return parse


def whole_numbers(option: str, text: str, at_least: int) -> list[int]:
    """Numbers between commas.

    Raises
    ------
    InputError
        If one of them is none, or too small.
    """
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or min(values) < at_least:
        raise InputError(f"{option} has whole numbers of {at_least} or more between commas, got {text!r}")
    return values


def load(option: str, text: str) -> tuple[float, int]:
    """Bins per second and channels, from ``250x96``.

    Raises
    ------
    InputError
        If it is no such pair.
    """
    rate, separator, channels = text.partition("x")
    try:
        rate_hz, n_channels = float(rate), int(channels)
    except ValueError:
        rate_hz = n_channels = 0
    if not separator or not rate_hz > 0 or n_channels < 1:
        raise InputError(f"{option} has bins per second x channels such as 250x96, got {text!r}")
    return rate_hz, n_channels


_KINDS: dict[type, str] = {int: "a whole number", float: "a number"}


def add_rounds(parser: argparse.ArgumentParser, default: int = 5) -> None:
    """Add ``--rounds``."""
    help_ = f"turns of each (default {default})"
    parser.add_argument("--rounds", type=positive(int), default=default, metavar="N", help=help_)


def add_walk(parser: argparse.ArgumentParser) -> None:
    """Add ``--walk-kb``."""
    parser.add_argument(
        "--walk-kb",
        type=positive(int),
        default=2 * cache_bytes(2) // 1024,
        metavar="KB",
        help="memory that something else reads between two steps at the rate (default: twice the second-level cache)",
    )
