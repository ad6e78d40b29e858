"""Where a rig takes its bins from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation import SimulatedSubject, SubjectSettings

Block = tuple[npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.float64]]
"""Ends of bins in seconds from the start (n,), counts (n, C), kinematics (n, K)."""

_BLOCK_BINS = 64


class Source(Protocol):
    """Bins with the times at which they end."""

    name: str
    bin_s: float
    labels: tuple[str, ...]
    outputs: tuple[Output, ...]

    def blocks(self) -> Iterator[Block]:
        """Blocks of bins in the order of time."""


@dataclass
class RecordingSource:
    """A recording, once or again and again."""

    recording: Recording
    loop: bool = False

    def __post_init__(self) -> None:
        self.name = self.recording.source or "recording"
        self.bin_s = self.recording.bin_s
        self.labels = self.recording.labels
        self.outputs = self.recording.outputs

    def blocks(self) -> Iterator[Block]:
        """All bins; in a loop each turn follows the last without a gap."""
        counts = self.recording.counts.astype(np.float32)
        turn = 0
        while turn == 0 or self.loop:
            for start in range(0, self.recording.n_bins, _BLOCK_BINS):
                stop = min(start + _BLOCK_BINS, self.recording.n_bins)
                ends = np.arange(1 + start, 1 + stop, dtype=np.float64)
                ends = (ends + turn * self.recording.n_bins) * self.bin_s
                yield ends, counts[start:stop], self.recording.kinematics[start:stop]
            turn += 1


class SimulatedSource:
    """A simulated subject that never tires."""

    def __init__(self, settings: SubjectSettings) -> None:
        self._settings = settings
        self.name = settings.source
        self.bin_s = settings.bin_s
        self.labels = tuple(f"sim{i:03d}" for i in range(settings.population.n_channels))
        self.outputs = SimulatedSubject(settings).outputs

    def blocks(self) -> Iterator[Block]:
        """Bins without end, from the start of the subject's session."""
        subject, done = SimulatedSubject(self._settings), 0
        while True:
            counts, kinematics = subject.bins(_BLOCK_BINS)
            ends = np.arange(done + 1, done + 1 + _BLOCK_BINS, dtype=np.float64) * self.bin_s
            yield ends, counts.astype(np.float32), kinematics
            done += _BLOCK_BINS
