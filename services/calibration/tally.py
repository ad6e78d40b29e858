"""How much of what was collected can be used, and why the rest cannot."""

from __future__ import annotations

from typing import Any

import numpy as np

from bmi_decoder.config import SplitSettings
from bmi_decoder.errors import InputError
from bmi_decoder.formats.alignment import Alignment
from bmi_decoder.recording import Recording
from bmi_decoder.split import SHORTEST_PART_BINS, split_bounds


def tally(alignment: Alignment) -> dict[str, Any]:
    """Bins that are usable, lost in gaps, and unusable by reason."""
    reasons = {"counts are not finite": ~alignment.finite, "no movement": alignment.finite & ~alignment.moved}
    return {
        "usable": int(np.count_nonzero(alignment.usable)),
        "lost": alignment.lost,
        "unusable": {why: int(np.count_nonzero(bins)) for why, bins in reasons.items() if bins.any()},
        "segments": len(alignment.spans),
    }


def describe(counted: dict[str, Any]) -> str:
    """The tally in words."""
    unusable = [f"{n:,} unusable ({why})" for why, n in counted["unusable"].items()]
    return ", ".join([f"{counted['usable']:,} bins usable", f"{counted['lost']:,} lost", *unusable])


def check_counts(alignment: Alignment) -> None:
    """Refuse at once what are no spike counts.

    Raises
    ------
    InputError
    """
    values = alignment.counts[alignment.finite]
    wrong = (values < 0) | (values != np.floor(values))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"stream {alignment.neural.name!r} holds no spike counts: got {values[row, column]:g} on channel {column}; "
            "a neural stream must have whole numbers of spikes per sample, 0 or more"
        )


def check_enough(recording: Recording, split: SplitSettings, counted: dict[str, Any]) -> None:
    """Refuse a recording that is too short, or in which nothing moves where something is to be learned or judged.

    Raises
    ------
    InputError
    """
    try:
        first, second = split_bounds(recording, split)
    except InputError:
        raise InputError(
            f"too little was collected: {describe(counted)}. Each part of the split needs {SHORTEST_PART_BINS} bins; "
            "collect for longer, or see why bins are missing"
        ) from None
    for part, (start, stop) in {"training": (0, first), "validation": (first, second)}.items():
        moves = np.ptp(recording.kinematics[start:stop], axis=0) > 0
        if not moves.any():
            still = ", ".join(
                f"{output.name} is {value:g} {output.unit}"
                for output, value in zip(recording.outputs, recording.kinematics[start], strict=True)
            )
            raise InputError(
                f"nothing moved in the {part} part: {still} all the time. Is the subject at work, and is the "
                "kinematics stream the right one?"
            )
