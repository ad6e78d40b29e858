"""R² of a running session against the true movement of the last minute."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bmi_decoder.evaluation.r2 import mean_of_finite, r2_per_output
from bmi_decoder.formats.alignment import movement_in
from bmi_decoder.wire import Flag

WINDOW_S = 60.0
LEAST_S = 5.0
"""Of less movement nothing is said."""

_NOT_DECODED = int(Flag.HELD | Flag.ZEROED | Flag.WARM_UP | Flag.INVALID)
_WIDEST_STEPS = 2.0
"""Between two samples there is a gap if they are farther apart."""

Floats = npt.NDArray[np.float64]
Movement = npt.NDArray[np.floating[Any]]


def live_r2(
    records: npt.NDArray[np.void],
    lookahead_s: dict[str, float],
    bin_s: float,
    times: Floats,
    movement: npt.NDArray[np.float32],
) -> dict[str, Any] | None:
    """R² of each variant, every estimate held against the movement at the time that it describes.

    ``1 - SSE / SST`` over the estimates of the present revision whose time has movement, and the mean over the outputs
    that move: the definition of `bmi_decoder.evaluation`. Bins that were filled in, that are not finite, or at which a
    filter was warming up are left out; so are those behind a gap in the movement, and before one.

    Parameters
    ----------
    records : structured array
        Of the flight recorder, oldest first.
    lookahead_s : dict
        How far behind its bin each variant is, in the order of the outputs, in s of the stream's clock.
    bin_s : float
        In s of the stream's clock.
    times : array (n,)
        Of the true movement, in s.
    movement : array (n, K)

    Returns
    -------
    dict or None
        ``seconds`` that were looked at, ``bins`` of the variant with fewest, and ``r2`` and ``r2_per_output`` by
        variant, null where nothing moves; None for less than `LEAST_S`.
    """
    increasing = np.flatnonzero(np.diff(times) <= 0)
    if len(increasing):
        # The rig was started anew.
        times, movement = times[increasing[-1] + 1 :], movement[increasing[-1] + 1 :]
    if len(times) < 2 or not len(records):
        return None
    step_s = float(np.median(np.diff(times)))
    records = records[(records["revision"] == records["revision"][-1]) & ((records["flags"] & _NOT_DECODED) == 0)]
    n_outputs, exact = movement.shape[1], movement.astype(np.float64)
    told: dict[str, Any] = {"r2": {}, "r2_per_output": {}}
    covered = []
    for v, (variant, lag) in enumerate(lookahead_s.items()):
        stamps = records["t_source"] - lag
        usable = _beside_samples(stamps, times, step_s)
        if not len(usable) or (stamps[usable[-1]] - stamps[usable[0]]) < LEAST_S:
            return None
        truth = movement_in(times, exact, stamps[usable], bin_s, step_s)
        estimates = records["outputs"][usable, v * n_outputs : (v + 1) * n_outputs]
        whole = np.isfinite(truth).all(axis=1)
        per_output = r2_per_output(truth[whole], estimates[whole])
        told["r2"][variant] = _number(mean_of_finite(per_output))
        told["r2_per_output"][variant] = [_number(value) for value in per_output]
        covered.append((stamps[usable[-1]] - stamps[usable[0]], int(whole.sum())))
    return told | {"seconds": round(min(covered)[0], 1), "bins": min(n for _, n in covered)}


def _beside_samples(stamps: Floats, times: Floats, step_s: float) -> npt.NDArray[np.int64]:
    """Which stamps lie between two samples that follow each other."""
    at = np.searchsorted(times, stamps)
    inside = (at > 0) & (at < len(times))
    gap = times[np.minimum(at, len(times) - 1)] - times[np.maximum(at, 1) - 1]
    return np.flatnonzero(inside & (gap < _WIDEST_STEPS * step_s))


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
