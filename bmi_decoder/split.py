"""Where the parts of a recording begin: training, validation, test."""

from __future__ import annotations

from bmi_decoder.config import SplitSettings
from bmi_decoder.errors import InputError
from bmi_decoder.formats.reaches import split_by_reaches
from bmi_decoder.recording import Recording

SHORTEST_PART_BINS = 64


def split_bounds(recording: Recording, split: SplitSettings) -> tuple[int, int]:
    """First bin of the validation part and of the test part.

    Parameters
    ----------
    recording : Recording
    split : SplitSettings
        By time, or by reaches as `split_by_reaches` does; then the parts begin where a reach does.

    Raises
    ------
    InputError
        If the reaches are not known, or a part has fewer than 64 bins.
    """
    name = recording.source or "recording"
    if split.by == "time":
        first, second = split.bounds(recording.n_bins)
        parts = f"{recording.n_bins} bins"
    else:
        if recording.reaches is None:
            raise InputError(
                f"{name} has no reaches: split it by time, for example --split 0.7,0.1,0.2, or read a file with targets"
            )
        by_reaches = split_by_reaches(recording.reaches, split.train)
        sizes = [sum(b - a for a, b in spans) for spans in (by_reaches.train, by_reaches.validation)]
        first, second = sizes[0], sum(sizes)
        parts = f"{recording.n_bins} bins in {len(recording.reaches)} reaches"
    if min(first, second - first, recording.n_bins - second) < SHORTEST_PART_BINS:
        raise InputError(f"{name} has {parts}; each part of the split needs {SHORTEST_PART_BINS} at least")
    return first, second
