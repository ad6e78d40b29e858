"""Minimum-jerk reaches to random targets, bin after bin without end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bmi_decoder.config import Settings

FloatArray = npt.NDArray[np.float64]


class ReachSettings(Settings):
    """Where the hand reaches to, how fast, and how long it rests."""

    workspace_m: float = Field(0.2, gt=0, le=10, description="Side of the square of targets, centred on (0, 0), in m.")
    min_distance_m: float = Field(0.04, ge=0, description="Shortest reach in m, at most half the workspace.")
    target_width_m: float = Field(0.02, gt=0, description="Target width W in Fitts' law, in m.")
    duration_offset_s: float = Field(0.2, gt=0, le=10, description="Duration of a reach of no difficulty, in s.")
    duration_per_bit_s: float = Field(
        0.15, ge=0, le=10, description="Added duration in s per bit of difficulty, log2(distance / W + 1)."
    )
    hold_min_s: float = Field(0.05, ge=0, description="Shortest hold on a reached target, in s.")
    hold_max_s: float = Field(0.3, ge=0, le=60, description="Longest hold on a reached target, in s.")
    reaction_min_s: float = Field(0.1, ge=0, description="Shortest time from a new target to movement, in s.")
    reaction_max_s: float = Field(0.35, ge=0, le=60, description="Longest time from a new target to movement, in s.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.hold_min_s > self.hold_max_s:
            raise ValueError("hold_min_s must not exceed hold_max_s")
        if self.reaction_min_s > self.reaction_max_s:
            raise ValueError("reaction_min_s must not exceed reaction_max_s")
        if self.min_distance_m > self.workspace_m / 2:
            raise ValueError("min_distance_m must be at most half of workspace_m, so that a target is always found")
        return self


@dataclass(frozen=True)
class Reach:
    """One straight movement: rest at `start` until `onset_s`, on `target` from `onset_s + duration_s`."""

    onset_s: float
    duration_s: float
    start: FloatArray
    target: FloatArray


class ReachStream:
    """Hand position and velocity on a bin grid, the same for a seed however many bins are asked for at once.

    The hand starts at rest in the centre of the workspace. Each reach follows the minimum-jerk profile, lasts
    as long as Fitts' law says, and is followed by a hold on the target and a reaction time to the next one.

    Parameters
    ----------
    settings : ReachSettings
        Workspace, durations and pauses.
    bin_s : float
        Bin width in seconds. Bin k is sampled at its middle, ``(k + 0.5) * bin_s``.
    rng : numpy.random.Generator
        Source of targets and pauses; the stream takes it over.

    Notes
    -----
    Flash & Hogan 1985, J. Neurosci. 5 1688: the position along a reach is ``10 u^3 - 15 u^4 + 6 u^5`` of the
    distance at the fraction u of its duration; the peak velocity is 15/8 of the mean.

    Examples
    --------
    >>> import numpy as np
    >>> stream = ReachStream(ReachSettings(), 0.004, np.random.default_rng(1))
    >>> position, velocity = stream.bins(500)
    >>> position.shape, velocity.shape
    ((500, 2), (500, 2))
    """

    def __init__(self, settings: ReachSettings, bin_s: float, rng: np.random.Generator) -> None:
        self._settings = settings
        self._bin_s = bin_s
        self._rng = rng
        self._bin = 0
        onset_s = rng.uniform(settings.reaction_min_s, settings.reaction_max_s)
        self._reaches = [self._draw(onset_s, np.zeros(2))]

    def bins(self, n: int) -> tuple[FloatArray, FloatArray]:
        """Move on by n bins.

        Returns
        -------
        position, velocity : array (n, 2)
            In m and m/s, columns x and y.
        """
        position, velocity, _ = self.bins_with_targets(n)
        return position, velocity

    def bins_with_targets(self, n: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As `bins`, and where the hand is going, (n, 2) in m: the target changes when a reach begins."""
        times = (np.arange(self._bin, self._bin + n) + 0.5) * self._bin_s
        self._bin += n
        while n and self._reaches[-1].onset_s <= times[-1]:
            self._reaches.append(self._after(self._reaches[-1]))
        reaches = self._reaches
        onset = np.array([reach.onset_s for reach in reaches])
        current = np.maximum(np.searchsorted(onset, times, side="right") - 1, 0)
        duration = np.array([reach.duration_s for reach in reaches])[current]
        start = np.array([reach.start for reach in reaches])[current]
        target = np.array([reach.target for reach in reaches])[current]
        path = target - start
        u = np.clip((times - onset[current]) / duration, 0.0, 1.0)
        covered = u * u * u * (10.0 - 15.0 * u + 6.0 * u * u)
        speed = 30.0 * u * u * (1.0 - u) * (1.0 - u) / duration
        if n:
            self._reaches = reaches[current[-1] :]
        return start + covered[:, None] * path, speed[:, None] * path, target

    def _after(self, last: Reach) -> Reach:
        s = self._settings
        pause_s = self._rng.uniform(s.hold_min_s, s.hold_max_s) + self._rng.uniform(s.reaction_min_s, s.reaction_max_s)
        return self._draw(last.onset_s + last.duration_s + pause_s, last.target)

    def _draw(self, onset_s: float, start: FloatArray) -> Reach:
        s = self._settings
        distance = -1.0
        while distance < s.min_distance_m:
            target = self._rng.uniform(-s.workspace_m / 2, s.workspace_m / 2, 2)
            distance = float(np.hypot(*(target - start)))
        difficulty = np.log2(distance / s.target_width_m + 1.0)
        return Reach(onset_s, float(s.duration_offset_s + s.duration_per_bit_s * difficulty), start, target)
