"""Channel activity: the newest seconds of a stream as rates, column by column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SHOWN_S = 10.0
_COLUMN_S = 0.1


class ChannelActivity:
    """Sums samples of counts into columns of equal length.

    Parameters
    ----------
    n_channels : int
    sample_s : float
        Time between two samples.

    Attributes
    ----------
    column_s : float
        Length of a column: 0.1 s, or the sample's where that is longer.

    Examples
    --------
    >>> activity = ChannelActivity(n_channels=1, sample_s=0.05)
    >>> activity.add(np.array([10.00, 10.05, 10.10]), np.array([[1.0], [3.0], [5.0]], np.float32))
    >>> starts, rates = activity.since(0)
    >>> starts.round(3).tolist(), rates.tolist()
    ([10.0], [[40.0]])
    """

    def __init__(self, n_channels: int, sample_s: float) -> None:
        per_column = max(1, round(_COLUMN_S / sample_s))
        self.column_s = per_column * sample_s
        self._sample_s = sample_s
        self._n_columns = max(2, round(SHOWN_S / self.column_s))
        self._starts = np.zeros(self._n_columns)
        self._rates = np.zeros((self._n_columns, n_channels), np.float32)
        self._sum = np.zeros(n_channels, np.float64)
        self._n_samples = 0
        self._column = -1
        self.n_done = 0

    def add(self, stamps: npt.NDArray[np.float64], samples: npt.NDArray[np.float32]) -> None:
        """Take in samples (n, C) with their stamps (n,) in order."""
        # Half a sample ahead, so that jitter of a stamp on an edge does not move its sample.
        columns = np.floor(stamps / self.column_s + 0.5 * self._sample_s / self.column_s).astype(np.int64)
        edges = np.flatnonzero(np.diff(columns)) + 1
        for start, stop in zip([0, *edges], [*edges, len(columns)], strict=True):
            if start == stop:
                continue
            if columns[start] != self._column:
                self._finish()
                self._column = int(columns[start])
            self._sum += samples[start:stop].sum(axis=0, dtype=np.float64)
            self._n_samples += stop - start

    def since(self, number: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
        """Starts (m,) in seconds and rates (m, C) per second of the columns from the `number`-th on."""
        at = np.arange(max(number, self.n_done - self._n_columns), self.n_done) % self._n_columns
        return self._starts[at], self._rates[at]

    def _finish(self) -> None:
        if self._n_samples:
            at = self.n_done % self._n_columns
            self._starts[at] = self._column * self.column_s
            self._rates[at] = self._sum / (self._n_samples * self._sample_s)
            self.n_done += 1
        self._sum[:] = 0
        self._n_samples = 0
