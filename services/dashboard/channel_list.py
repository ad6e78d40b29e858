"""Channels as people write them: ``3, 17-20``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bmi_decoder.errors import InputError

_PART = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?")


def channels_text(channels: Iterable[int]) -> str:
    """A list of channels, in order, with three and more in a row as a range.

    Examples
    --------
    >>> channels_text([3, 17, 18, 19, 20, 30, 31])
    '3, 17-20, 30, 31'
    """
    runs: list[list[int]] = []
    for channel in channels:
        if runs and channel == runs[-1][-1] + 1:
            runs[-1].append(channel)
        else:
            runs.append([channel])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def channels_of(text: str) -> list[int]:
    """The channels of such a text, each once, in order.

    Raises
    ------
    InputError
        Where something else stands between two commas.

    Examples
    --------
    >>> channels_of("17-19, 3,18"), channels_of(" ")
    ([3, 17, 18, 19], [])
    """
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        matched = _PART.fullmatch(part)
        first, last = (0, -1) if matched is None else (int(matched[1]), int(matched[2] or matched[1]))
        if first > last:
            raise InputError(f"{part!r} is not a channel; write numbers from 0, and ranges, such as 3, 17-20")
        found.update(range(first, last + 1))
    return sorted(found)
