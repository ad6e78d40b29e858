"""Figures that tell whether a recording is worth training on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.recording import Recording

NEARLY_SILENT_HZ = 0.1
"""A channel that fires, but less than this on average, carries little; it is named apart from the silent ones."""

_SHORT_S = 1.0


def summarise(recording: Recording) -> dict[str, Any]:
    """Describe a recording in numbers.

    Parameters
    ----------
    recording : Recording
        What a reader gave.

    Returns
    -------
    dict
        For JSON: size and clock, `channels` with their mean rates in Hz, labels of the `silent` and
        `nearly_silent` ones, `outputs` with range,
        mean and standard deviation, `segments` as (start, stop) bins, and `warnings` for people.
    """
    rates = mean_rates_hz(recording)
    rated = list(zip(recording.labels, rates, strict=True))
    silent = [label for label, rate in rated if rate == 0]
    nearly = [label for label, rate in rated if 0 < rate < NEARLY_SILENT_HZ]
    return {
        "source": recording.source,
        "bins": recording.n_bins,
        "bin_s": recording.bin_s,
        "t0": recording.t0,
        "duration_s": recording.duration_s,
        "most_spikes_in_a_bin": int(recording.counts.max()),
        "channels": [{"name": label, "mean_rate_hz": float(rate)} for label, rate in rated],
        "mean_rate_hz": {
            "lowest": float(rates.min()),
            "median": float(np.median(rates)),
            "mean": float(rates.mean()),
            "highest": float(rates.max()),
        },
        "silent": silent,
        "nearly_silent": nearly,
        "outputs": [
            {
                "name": output.name,
                "unit": output.unit,
                "lowest": float(column.min()),
                "highest": float(column.max()),
                "mean": float(column.mean()),
                "standard_deviation": float(column.std()),
            }
            for output, column in zip(recording.outputs, recording.kinematics.T, strict=True)
        ],
        "segments": [list(span) for span in recording.spans],
        "warnings": _warnings(recording, silent, nearly),
    }


def mean_rates_hz(recording: Recording) -> npt.NDArray[np.float64]:
    """Mean firing rate of every channel over the recorded time, (C,)."""
    return recording.counts.sum(axis=0, dtype=np.float64) / recording.duration_s


def _warnings(recording: Recording, silent: list[str], nearly: list[str]) -> list[str]:
    said = []
    for labels, what in ((silent, "never fire"), (nearly, f"fire less than {NEARLY_SILENT_HZ:g} times per s")):
        if labels:
            share = f"{len(labels)} of {recording.n_channels} channels {what}"
            said.append(f"{share}: {', '.join(labels[:8])}{', ...' if len(labels) > 8 else ''}")
    twins = _twins(recording)
    if twins:
        said.append(f"channels hold the same spikes: {'; '.join(' = '.join(pair) for pair in twins[:4])}")
    for output, column in zip(recording.outputs, recording.kinematics.T, strict=True):
        if np.ptp(column) == 0:
            said.append(f"{output.name} does not change")
    short = sum((stop - start) * recording.bin_s < _SHORT_S for start, stop in recording.spans)
    if short:
        said.append(f"{short} of {len(recording.spans)} segments are shorter than {_SHORT_S:g} s")
    return said


def _twins(recording: Recording) -> list[tuple[str, str]]:
    first: dict[bytes, str] = {}
    twins = []
    for label, column in zip(recording.labels, recording.counts.T, strict=True):
        if column.any():
            other = first.setdefault(column.tobytes(), label)
            if other != label:
                twins.append((other, label))
    return twins
