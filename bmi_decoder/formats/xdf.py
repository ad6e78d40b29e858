"""LabStreamingLayer recordings (XDF): a stream of spike counts and a stream of movement."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.segments import stretches
from bmi_decoder.formats.xdf_clock import without_jitter
from bmi_decoder.formats.xdf_streams import XdfStream, load_xdf
from bmi_decoder.recording import Output, Recording

FloatArray = npt.NDArray[np.float64]
NEURAL_TYPES = ("spikes",)
KINEMATICS_TYPES = ("kinematics", "mocap")


def read_xdf(path: Path | str, neural: str | None = None, kinematics: str | None = None) -> Recording:
    """Read spike counts and movement from a recording of LSL streams.

    Parameters
    ----------
    path : Path or str
        XDF file, as LabRecorder writes it.
    neural : str, optional
        Name or type of the stream of spike counts, one sample per bin. None takes the one of type ``spikes``.
    kinematics : str, optional
        Name or type of the stream of movement. None takes the one of type ``kinematics`` or ``MoCap``.

    Returns
    -------
    Recording
        One bin per sample of the neural stream; its stamp is the end of the bin. The movement is the mean of the
        samples within a bin where the kinematics stream is faster, and otherwise at the stamp, on the straight line
        between the two samples around it. A gap or a clock reset in either stream ends a segment, bins without
        movement are left out, and no line is drawn across.

    Raises
    ------
    InputError
        If a stream is missing, not unique or irregular, or the file is damaged. The message lists the streams.
    BmiError
        If pyxdf is not installed.
    """
    path = Path(path)
    streams = load_xdf(path).streams
    counts = choose_stream(streams, neural, NEURAL_TYPES, "neural", path)
    movement = choose_stream(streams, kinematics, KINEMATICS_TYPES, "kinematics", path)
    bin_s, stamps = bins_of(counts, path)
    values = at_bins(movement, stamps, bin_s, path)
    numbers = np.asarray(counts.values, dtype=np.float64)
    valid = _all_finite(values) & _all_finite(numbers)
    runs = stretches(valid, _cut(counts, movement, stamps, bin_s))
    if not runs:
        raise InputError(f"{path}: streams {counts.name!r} and {movement.name!r} have no time in common")
    rows = np.concatenate([np.arange(start, stop) for start, stop in runs])
    try:
        return Recording(
            numbers[rows],
            values[rows],
            outputs_of(movement),
            bin_s * counts.speed,
            t0=float(stamps[rows[0]]) - bin_s,
            segments=tuple(pairwise(np.cumsum([0, *(stop - start for start, stop in runs)]).tolist())),
            channels=counts.labels if _are_names(counts.labels) else None,
            source=f"{path.name} (XDF, {counts.name})",
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def choose_stream(
    streams: Sequence[XdfStream], wanted: str | None, types: tuple[str, ...], what: str, path: Path
) -> XdfStream:
    """The stream with the wanted name or type, or else the only one of `types`.

    Raises
    ------
    InputError
        If it is missing, not unique, empty or of strings. The message lists the streams.
    """
    names = types if wanted is None else (wanted.casefold(),)
    found = [stream for stream in streams if stream.type.casefold() in names]
    if wanted is not None:
        found = [stream for stream in streams if stream.name == wanted] or found
    if len(found) != 1:
        sought = f"of type {' or '.join(types)}" if wanted is None else f"with the name or type {wanted!r}"
        listed = "; ".join(stream.describe() for stream in streams) or "no stream at all"
        problem = "no" if not found else "more than one"
        raise InputError(f"{path}: there is {problem} {what} stream {sought}; the file has {listed}")
    if found[0].format == "string" or not len(found[0].times):
        problem = "text" if found[0].format == "string" else "no samples"
        raise InputError(f"{path}: the {what} stream {found[0].name!r} holds {problem}; choose another")
    if not np.isfinite(found[0].times).all():
        raise InputError(f"{path}: the stamps of stream {found[0].name!r} must be finite; the file is damaged")
    return found[0]


def _step(stream: XdfStream, path: Path) -> float:
    if stream.step_s is None:
        raise InputError(
            f"{path}: stream {stream.name!r} is irregular; a stream with a nominal rate is needed, one sample per bin"
        )
    return stream.step_s


def bins_of(counts: XdfStream, path: Path) -> tuple[float, FloatArray]:
    """Interval between samples in s, and where each bin ends.

    Raises
    ------
    InputError
        If the stream is irregular.
    """
    return _step(counts, path), without_jitter(counts.times, counts.spans)


def at_bins(movement: XdfStream, stamps: FloatArray, bin_s: float, path: Path) -> FloatArray:
    """Movement (T, K) at the bins that end at `stamps`; NaN where there is none.

    Raises
    ------
    InputError
        If the stream is irregular.
    """
    step_s = _step(movement, path)
    samples = np.asarray(movement.values, dtype=np.float64)
    values = np.full((len(stamps), samples.shape[1]), np.nan)
    times = without_jitter(movement.times, movement.spans)
    for start, stop in stretches(_all_finite(samples), movement.spans):
        within, taken = times[start:stop], samples[start:stop]
        if np.any(np.diff(within) <= 0):
            continue
        covered = np.flatnonzero((stamps >= within[0] - step_s / 2) & (stamps <= within[-1] + step_s / 2))
        if bin_s < 1.5 * step_s:
            for column, series in enumerate(taken.T):
                values[covered, column] = np.interp(stamps[covered], within, series)
            continue
        first = np.searchsorted(within, stamps[covered] - bin_s, side="right")
        last = np.searchsorted(within, stamps[covered], side="right")
        total = np.concatenate([np.zeros((1, samples.shape[1])), np.cumsum(taken, axis=0)])
        # A bin that a gap cuts in two has less than half of its samples on one side of it at least.
        enough = last - first >= round(bin_s / step_s) / 2
        some = covered[enough]
        values[some] = (total[last] - total[first])[enough] / (last - first)[enough, None]
    return values


def _all_finite(values: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(values).all(axis=1))


def _cut(counts: XdfStream, movement: XdfStream, stamps: FloatArray, bin_s: float) -> tuple[tuple[int, int], ...]:
    """Spans of bins, cut where either stream is."""
    edges = {edge for span in counts.spans for edge in span}
    begins = without_jitter(movement.times, movement.spans)[[start for start, _ in movement.spans[1:]]]
    for start, stop in counts.spans:
        # Samples that belong together differ a little between two streams.
        edges |= {start + int(at) for at in np.searchsorted(stamps[start:stop], begins - bin_s / 2)}
    return tuple(pairwise(sorted(edges)))


def outputs_of(movement: XdfStream) -> tuple[Output, ...]:
    """Names and units of its channels."""
    plain = tuple(f"{movement.name or 'movement'}_{i}" for i in range(movement.n_channels))
    names = movement.labels if _are_names(movement.labels) else plain
    units = movement.units or ("",) * movement.n_channels
    return tuple(Output(name, unit or "unknown") for name, unit in zip(names, units, strict=True))


def _are_names(labels: tuple[str, ...]) -> bool:
    return bool(labels) and all(labels) and len(set(labels)) == len(labels)
