"""From a stream of spike counts and a stream of movement to one recording, of a file or while they come."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.segments import stretches
from bmi_decoder.formats.xdf_clock import without_jitter
from bmi_decoder.formats.xdf_streams import XdfStream
from bmi_decoder.recording import Output, Recording

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Two streams on the bins of the first.

    Attributes
    ----------
    stamps : array (T,)
        End of each bin in s, without jitter.
    counts, movement : array (T, C), (T, K)
        NaN where there is no movement.
    finite, moved : array (T,) of bool
        Whether a bin has counts that are numbers, and whether it has movement.
    spans : tuple of (start, stop)
        Bins between two gaps or clock resets of either stream.
    bin_s : float
        Of the stamps; a replay at another speed has bins of `bin_s` x speed.
    lost : int
        Bins that are missing in the gaps of the first stream.
    """

    neural: XdfStream
    kinematics: XdfStream
    stamps: FloatArray
    counts: FloatArray
    movement: FloatArray
    finite: BoolArray
    moved: BoolArray
    spans: tuple[tuple[int, int], ...]
    bin_s: float
    lost: int

    @property
    def usable(self) -> BoolArray:
        """Bins with counts and movement (T,)."""
        return self.finite & self.moved

    def recording(self, source: str, outputs: tuple[Output, ...] | None = None) -> Recording:
        """The usable bins, in segments.

        Parameters
        ----------
        source : str
        outputs : tuple of Output, optional
            Names and units of the movement; None takes those that the stream declares.

        Raises
        ------
        InputError
            If there are none, or what should be counts is not.
        """
        runs = stretches(self.usable, self.spans)
        if not runs:
            raise InputError(f"streams {self.neural.name!r} and {self.kinematics.name!r} have no time in common")
        rows = np.concatenate([np.arange(start, stop) for start, stop in runs])
        return Recording(
            self.counts[rows],
            self.movement[rows],
            outputs_of(self.kinematics) if outputs is None else outputs,
            self.bin_s * self.neural.speed,
            t0=float(self.stamps[rows[0]]) - self.bin_s,
            segments=tuple(pairwise(np.cumsum([0, *(stop - start for start, stop in runs)]).tolist())),
            channels=self.neural.labels if _are_names(self.neural.labels) else None,
            source=source,
        )


def align(neural: XdfStream, kinematics: XdfStream, name: Path | str) -> Alignment:
    """Bring movement on the bins of the neural stream: one bin per sample, whose stamp is the end of the bin.

    The movement is the mean of the samples within a bin where the kinematics stream is faster, and otherwise at the
    stamp, on the straight line between the two samples around it. No line is drawn across a gap or a clock reset.

    Parameters
    ----------
    neural, kinematics : XdfStream
    name : Path or str
        What an error message calls the recording.

    Raises
    ------
    InputError
        If a stream is irregular.
    """
    bin_s, stamps = bins_of(neural, name)
    movement = at_bins(kinematics, stamps, bin_s, name)
    counts = np.asarray(neural.values, dtype=np.float64)
    missing = [round((stamps[b] - stamps[b - 1]) / bin_s) - 1 for b, _ in neural.spans[1:]]
    return Alignment(
        neural=neural,
        kinematics=kinematics,
        stamps=stamps,
        counts=counts,
        movement=movement,
        finite=_all_finite(counts),
        moved=_all_finite(movement),
        spans=_cut(neural, kinematics, stamps, bin_s),
        bin_s=bin_s,
        lost=sum(max(0, bins) for bins in missing),
    )


def _step(stream: XdfStream, name: Path | str) -> float:
    if stream.step_s is None:
        raise InputError(
            f"{name}: stream {stream.name!r} is irregular; a stream with a nominal rate is needed, one sample per bin"
        )
    return stream.step_s


def bins_of(counts: XdfStream, name: Path | str) -> tuple[float, FloatArray]:
    """Interval between samples in s, and where each bin ends.

    Raises
    ------
    InputError
        If the stream is irregular.
    """
    return _step(counts, name), without_jitter(counts.times, counts.spans)


def at_bins(movement: XdfStream, stamps: FloatArray, bin_s: float, name: Path | str) -> FloatArray:
    """Movement (T, K) at the bins that end at `stamps`; NaN where there is none.

    Raises
    ------
    InputError
        If the stream is irregular.
    """
    step_s = _step(movement, name)
    samples = np.asarray(movement.values, dtype=np.float64)
    values = np.full((len(stamps), samples.shape[1]), np.nan)
    times = without_jitter(movement.times, movement.spans)
    for start, stop in stretches(_all_finite(samples), movement.spans):
        within = times[start:stop]
        if np.any(np.diff(within) <= 0):
            continue
        covered = np.flatnonzero((stamps >= within[0] - step_s / 2) & (stamps <= within[-1] + step_s / 2))
        values[covered] = movement_in(within, samples[start:stop], stamps[covered], bin_s, step_s)
    return values


def movement_in(times: FloatArray, samples: FloatArray, stamps: FloatArray, bin_s: float, step_s: float) -> FloatArray:
    """Movement (T, K) in the bins that end at `stamps`, of samples (n, K) without a gap between them.

    As `align` says: the mean of the samples in a bin, or the straight line between two samples where they are not
    clearly denser than bins.

    Parameters
    ----------
    times : array (n,)
        Increasing, in s.
    samples : array (n, K)
    stamps : array (T,)
        Within half a step of the samples.
    bin_s, step_s : float
        Between stamps and between samples, in s.

    Returns
    -------
    array (T, K)
        NaN where less than half of a bin's samples are there.
    """
    if bin_s < 1.5 * step_s:
        return np.column_stack([np.interp(stamps, times, series) for series in samples.T])
    values = np.full((len(stamps), samples.shape[1]), np.nan)
    first = np.searchsorted(times, stamps - bin_s, side="right")
    last = np.searchsorted(times, stamps, side="right")
    total = np.concatenate([np.zeros((1, samples.shape[1])), np.cumsum(samples, axis=0)])
    # A bin that a gap cuts in two has less than half of its samples on one side of it at least.
    enough = last - first >= round(bin_s / step_s) / 2
    values[enough] = (total[last] - total[first])[enough] / (last - first)[enough, None]
    return values


def _all_finite(values: FloatArray) -> BoolArray:
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
