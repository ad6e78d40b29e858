"""Wider bins from narrow ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from bmi_decoder.errors import InputError
from bmi_decoder.recording import Recording


def rebin(recording: Recording, bin_s: float) -> Recording:
    """Join bins: counts are summed, kinematics averaged.

    A new bin never crosses a segment border. What is left at the end of a segment and does not fill a bin is
    dropped, and with it a segment that is shorter than one new bin. A new bin in which a reach ends belongs to the
    reach that follows.

    Parameters
    ----------
    recording : Recording
        With bins of ``recording.bin_s``.
    bin_s : float
        Width of the new bins in seconds, an integer multiple of ``recording.bin_s``.

    Raises
    ------
    InputError
        If `bin_s` is not an integer multiple, or no segment fills one new bin.

    Examples
    --------
    >>> from bmi_decoder.recording import Output
    >>> kinematics = np.arange(5.0)[:, None]
    >>> narrow = Recording(np.ones((5, 2), int), kinematics, (Output("x_velocity", "m/s"),), 0.01)
    >>> wide = rebin(narrow, 0.02)
    >>> wide.counts[:, 0].tolist(), wide.kinematics[:, 0].tolist()
    ([2, 2], [0.5, 2.5])
    """
    name = recording.source or "recording"
    factor = join_factor(recording.bin_s, bin_s, name)
    if factor == 1:
        return recording
    lengths = [(stop - start) // factor for start, stop in recording.spans]
    starts = [start for start, _ in recording.spans]
    pieces = [np.arange(start, start + n * factor) for start, n in zip(starts, lengths, strict=True)]
    kept = np.concatenate(pieces)
    if not len(kept):
        raise InputError(f"{name}: no segment is as long as one bin of {bin_s} s; choose narrower bins")
    edges = np.cumsum([0, *(n for n in lengths if n)]).tolist()
    counts = recording.counts[kept].reshape(-1, factor, recording.n_channels)
    kinematics = recording.kinematics[kept].reshape(-1, factor, recording.n_outputs)
    return replace(
        recording,
        counts=counts.sum(axis=1, dtype=np.uint64),
        kinematics=kinematics.mean(axis=1),
        bin_s=float(bin_s),
        t0=recording.t0 + int(kept[0]) * recording.bin_s,
        segments=tuple(pairwise(edges)),
        reaches=None if recording.reaches is None else _joined_reaches(recording.reaches, starts, lengths, factor),
    )


def _joined_reaches(
    reaches: Sequence[tuple[int, int]], starts: Sequence[int], lengths: Sequence[int], factor: int
) -> tuple[tuple[int, int], ...]:
    """Reaches in new bins, of segments with these starts in old bins and lengths in new ones."""
    edges = np.array([0, *(stop for _, stop in reaches)])
    segment = np.searchsorted(starts, edges, side="right") - 1
    inside = np.minimum((edges - np.array(starts)[segment]) // factor, np.array(lengths)[segment])
    joined = np.cumsum([0, *lengths])[segment] + inside
    return tuple(pairwise(joined.tolist()))


def join_factor(narrow_s: float, wide_s: float, name: str) -> int:
    """How many bins of `narrow_s` make one of `wide_s`; raises InputError if that is not a whole number."""
    ratio = wide_s / narrow_s
    factor = round(ratio) if np.isfinite(ratio) else 0
    if factor < 1 or abs(ratio - factor) > 1e-6 * factor:
        nearest = max(1, factor) * narrow_s
        raise InputError(
            f"{name}: bins of {wide_s} s cannot be made from bins of {narrow_s:.6g} s; "
            f"give an integer multiple, for example {nearest:.6g}"
        )
    return factor
