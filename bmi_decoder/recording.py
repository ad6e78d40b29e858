"""Spike counts and kinematics on one clock."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError


@dataclass(frozen=True)
class Output:
    """One kinematic quantity, for example ``Output("x_velocity", "m/s")``."""

    name: str
    unit: str


@dataclass(frozen=True, eq=False)
class Recording:
    """Binned spike counts and the movement that went with them.

    Parameters
    ----------
    counts : array (T, C)
        Spikes per bin and channel, non-negative integers of any integer dtype.
    kinematics : array (T, K)
        Movement at each bin, finite, one column per entry of `outputs`.
    outputs : tuple of Output
        Names and units of the K kinematic columns.
    bin_s : float
        Bin width in seconds. Bin k covers ``[t0 + k * bin_s, t0 + (k + 1) * bin_s)``.
    t0 : float
        Start of the first bin in seconds, on the recording's own clock.
    segments : tuple of (start, stop)
        Contiguous stretches, as bin ranges that tile ``[0, T)`` in order. Decoder state is reset between
        two segments, because time is missing there. None means one segment.
    reaches : tuple of (start, stop)
        Movements to one target each, as bin ranges that tile ``[0, T)`` in order; one that is shorter than a bin is
        empty. No time is missing between them. None where they are not known.
    channels : tuple of str
        C channel labels. None means ``ch0, ch1, ...``.
    source : str
        Where the recording came from, for the manifest and for people.

    Raises
    ------
    InputError
        If shapes disagree, counts are negative or fractional, kinematics are not finite, or segments or reaches
        do not tile the recording. The message names the first offending bin and channel.

    Examples
    --------
    >>> import numpy as np
    >>> recording = Recording(np.zeros((10, 3), int), np.zeros((10, 1)), (Output("x_velocity", "m/s"),), 0.004)
    >>> recording.duration_s, recording.n_channels
    (0.04, 3)
    """

    counts: npt.NDArray[np.integer]
    kinematics: npt.NDArray[np.float64]
    outputs: tuple[Output, ...]
    bin_s: float
    t0: float = 0.0
    segments: tuple[tuple[int, int], ...] | None = None
    channels: tuple[str, ...] | None = None
    source: str = ""
    reaches: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        self._check_grid()
        object.__setattr__(self, "counts", _checked_counts(self.counts, self.source))
        object.__setattr__(self, "kinematics", _checked_kinematics(self.kinematics, self.source))
        n_bins, n_channels = self.counts.shape
        if len(self.kinematics) != n_bins:
            raise InputError(
                f"{self._name()}: {n_bins} bins of counts but {len(self.kinematics)} of kinematics; "
                "both must be on the same bins"
            )
        if len(self.outputs) != self.kinematics.shape[1]:
            raise InputError(
                f"{self._name()}: {self.kinematics.shape[1]} kinematic columns but {len(self.outputs)} names"
            )
        # Plain Python values throughout, so that equal recordings have equal fingerprints.
        labels = tuple(f"ch{i}" for i in range(n_channels)) if self.channels is None else tuple(map(str, self.channels))
        if len(labels) != n_channels:
            raise InputError(f"{self._name()}: {n_channels} channels but {len(labels)} labels")
        object.__setattr__(self, "channels", labels)
        object.__setattr__(self, "outputs", tuple(self.outputs))
        segments = ((0, n_bins),) if self.segments is None else self.segments
        object.__setattr__(self, "segments", tuple((int(start), int(stop)) for start, stop in segments))
        _check_segments(self.spans, n_bins, self._name())
        if self.reaches is not None:
            object.__setattr__(self, "reaches", tuple((int(start), int(stop)) for start, stop in self.reaches))
            _check_reaches(self.reaches, n_bins, self._name())

    def _check_grid(self) -> None:
        for name in ("bin_s", "t0"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not (math.isfinite(self.bin_s) and self.bin_s > 0):
            raise InputError(f"{self._name()}: bin width must be a positive number of seconds, got {self.bin_s}")
        if not math.isfinite(self.t0):
            raise InputError(f"{self._name()}: t0 must be a finite time in seconds, got {self.t0}")

    def _name(self) -> str:
        return self.source or "recording"

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The segments, never None."""
        assert self.segments is not None
        return self.segments

    @property
    def labels(self) -> tuple[str, ...]:
        """The channel labels, never None."""
        assert self.channels is not None
        return self.channels

    @property
    def n_bins(self) -> int:
        """T."""
        return int(self.counts.shape[0])

    @property
    def n_channels(self) -> int:
        """C."""
        return int(self.counts.shape[1])

    @property
    def n_outputs(self) -> int:
        """K."""
        return len(self.outputs)

    @property
    def duration_s(self) -> float:
        """Recorded time in seconds, gaps between segments not counted."""
        return self.n_bins * self.bin_s

    def slice(self, start: int, stop: int) -> Recording:
        """Bins ``start`` to ``stop`` as a recording of their own, segments and reaches cut accordingly."""
        if not 0 <= start < stop <= self.n_bins:
            raise InputError(f"{self._name()}: bins {start}:{stop} are not inside 0:{self.n_bins}")

        def cut(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
            return tuple((max(a, start) - start, min(b, stop) - start) for a, b in spans if a < stop and b > start)

        return replace(
            self,
            counts=self.counts[start:stop],
            kinematics=self.kinematics[start:stop],
            t0=self.t0 + start * self.bin_s,
            segments=cut(self.spans),
            reaches=None if self.reaches is None else cut(self.reaches),
        )

    def fingerprint(self) -> str:
        """Sha256 over everything a decoder learns from, to tell which data a bundle was trained on."""
        digest = hashlib.sha256(f"{self.counts.shape}{self.bin_s!r}{self.spans}{self.outputs}".encode())
        if self.reaches is not None:
            digest.update(f"{self.reaches}".encode())
        digest.update(np.ascontiguousarray(self.counts, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.kinematics, dtype="<f8").tobytes())
        return digest.hexdigest()


def _checked_counts(values: npt.ArrayLike, source: str) -> npt.NDArray[np.integer]:
    name = source or "recording"
    counts = np.asarray(values)
    if counts.ndim != 2 or 0 in counts.shape:
        raise InputError(f"{name}: counts must be a non-empty (bins, channels) array, got shape {counts.shape}")
    if counts.dtype == bool:
        return counts.astype(np.uint8)
    if not np.issubdtype(counts.dtype, np.number) or np.issubdtype(counts.dtype, np.complexfloating):
        raise InputError(f"{name}: counts must be numbers, got dtype {counts.dtype}")
    if np.issubdtype(counts.dtype, np.floating):
        whole = np.isfinite(counts) & (counts == np.floor(counts))
        if not whole.all():
            row, column = np.argwhere(~whole)[0]
            raise InputError(
                f"{name}: spike counts must be whole numbers, got {counts[row, column]} at bin {row}, channel {column}"
            )
    if counts.min() < 0:
        row, column = np.argwhere(counts < 0)[0]
        raise InputError(
            f"{name}: spike counts must not be negative, got {counts[row, column]} at bin {row}, "
            f"channel {column}; check the reader or the export"
        )
    largest = int(counts.max())
    if largest >= 1 << 64:
        raise InputError(f"{name}: a bin holds {largest} spikes, which cannot be; check the reader or the export")
    return counts.astype(np.min_scalar_type(largest), copy=False)


def _checked_kinematics(values: npt.ArrayLike, source: str) -> npt.NDArray[np.float64]:
    name = source or "recording"
    try:
        kinematics = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: kinematics must be a (bins, outputs) array of numbers") from None
    if kinematics.ndim != 2:
        raise InputError(f"{name}: kinematics must be a (bins, outputs) array, got shape {kinematics.shape}")
    finite = np.isfinite(kinematics)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InputError(
            f"{name}: kinematics must be finite, got {kinematics[row, column]} at bin {row}, column {column} "
            f"({np.count_nonzero(~finite)} such values); cut these bins out or interpolate before export"
        )
    return kinematics


def _check_segments(segments: tuple[tuple[int, int], ...], n_bins: int, name: str) -> None:
    edges = [0, *(stop for _, stop in segments)]
    starts = [start for start, _ in segments]
    if not segments or starts != edges[:-1] or edges[-1] != n_bins or any(a >= b for a, b in segments):
        raise InputError(f"{name}: segments {segments[:4]} must tile 0:{n_bins} in order, without holes or overlap")


def _check_reaches(reaches: tuple[tuple[int, int], ...], n_bins: int, name: str) -> None:
    edges = [0, *(stop for _, stop in reaches)]
    if not reaches or [start for start, _ in reaches] != edges[:-1] or edges != sorted(edges) or edges[-1] != n_bins:
        raise InputError(f"{name}: reaches {reaches[:4]} must tile 0:{n_bins} in order, without holes or overlap")
