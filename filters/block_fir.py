"""Streaming FIR over the last samples, the same for any chunking."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filters.design import taps_response
from filters.errors import FilterInputError
from filters.samples import as_chunk, as_sample, check_state
from filters.settings import check_integer, check_positive

# Rows per pass: the pass over the taps then works in cache (4096 x 2 channels x 8 bytes = 64 KiB).
ROWS_PER_PASS = 4096


class BlockFir:
    """Weighted sum of the last `width` samples.

    Before `width` samples have arrived since `reset` the input is passed through and `warming_up` is True.
    A NaN or infinity is not an error: every output whose block holds it is non-finite, and the outputs after
    `width` further samples are as if it had never been there.

    Parameters
    ----------
    taps : array (width,)
        Weights, oldest sample first.
    lookahead_samples : int
        Age of the sample that the output is an estimate for.
    n_channels : int
        Channels, filtered independently.
    rate_hz : float
        Samples per second.

    Notes
    -----
    The taps are applied one after the other, oldest first, and never as a matrix product or a convolution:
    those choose their order of summation by shape, and the last bits would depend on the chunking.
    """

    def __init__(self, taps: NDArray[np.float64], lookahead_samples: int, n_channels: int, rate_hz: float) -> None:
        self._taps = np.array(taps, dtype=np.float64)
        self._taps.flags.writeable = False
        self._column = self._taps[:, None]
        self._lookahead = lookahead_samples
        self._n_channels = check_integer("n_channels", n_channels, 1, None, "Give the number of channels to filter.")
        self._rate_hz = check_positive("rate_hz", rate_hz, "Give the number of samples per second.")
        self.reset()

    @property
    def taps(self) -> NDArray[np.float64]:
        """Weights (width,), oldest sample first; read only."""
        return self._taps

    @property
    def width(self) -> int:
        """Block length in samples."""
        return len(self._taps)

    @property
    def n_channels(self) -> int:
        """Channels, filtered independently."""
        return self._n_channels

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        return self._rate_hz

    @property
    def memory_samples(self) -> int:
        """Newest samples that an output depends on: the width."""
        return self.width

    @property
    def lookahead_samples(self) -> int:
        """Samples that arrived after the one the output is an estimate for."""
        return self._lookahead

    @property
    def lag_samples(self) -> int:
        """The lookahead. A slow movement may appear later still: see `delay_samples`."""
        return self._lookahead

    @property
    def lag_s(self) -> float:
        """`lag_samples` in seconds."""
        return self.lag_samples / self._rate_hz

    @property
    def delay_samples(self) -> float:
        """Centroid of the taps: group delay at 0 Hz in samples, against the newest sample."""
        age = np.arange(self.width - 1, -1, -1)
        return float(age @ self._taps / self._taps.sum())

    @property
    def delay_s(self) -> float:
        """`delay_samples` in seconds."""
        return self.delay_samples / self._rate_hz

    @property
    def noise_gain(self) -> float:
        """Standard deviation of the output for white noise of standard deviation 1: the norm of the taps."""
        return float(np.linalg.norm(self._taps))

    @property
    def warming_up(self) -> bool:
        """True until an output has come from a full block."""
        return self._seen < self.width

    def gain(self, frequencies_hz: ArrayLike) -> NDArray[np.float64]:
        """Return the amplitude gain at these frequencies (0 to `rate_hz` / 2)."""
        return np.abs(taps_response(self._taps, frequencies_hz, self._rate_hz))

    def reset(self) -> None:
        """Forget all samples."""
        # The last samples stand right before `_end`, and move to the front when the end is reached.
        self._strip = np.zeros((2 * self.width, self._n_channels))
        self._terms = np.zeros((self.width, self._n_channels))
        self._end = self.width - 1
        self._seen = 0

    @property
    def _history(self) -> NDArray[np.float64]:
        return self._strip[self._end - self.width + 1 : self._end]

    @_history.setter
    def _history(self, samples: NDArray[np.float64]) -> None:
        self._strip[: self.width - 1] = samples
        self._end = self.width - 1

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of the last samples and of how many have been seen (no more than `width` counted)."""
        return {"history": self._history.copy(), "seen": np.array(self._seen, dtype=np.int64)}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from a saved state.

        Parameters
        ----------
        state : mapping of str to array
            What `state` returned on a filter of the same width and channel count.

        Raises
        ------
        FilterInputError
            If names, shapes, dtypes or the sample count do not fit; the filter is then unchanged.
        """
        loaded = check_state(state, self.state())
        seen = int(loaded["seen"])
        if not 0 <= seen <= self.width:
            raise FilterInputError(
                f"state 'seen' must be from 0 to the width, {self.width}; got {seen}. "
                "Load a state that `state` returned."
            )
        self._history = loaded["history"].astype(np.float64, copy=False)
        self._seen = seen

    def step(self, x: ArrayLike) -> NDArray[np.float64]:
        """Filter one sample.

        Parameters
        ----------
        x : array (n_channels,)
            The newest sample.

        Returns
        -------
        array (n_channels,)
            The filtered sample; `x` itself while the block is filling.
        """
        sample = as_sample(x, self._n_channels)
        if self._end == len(self._strip):
            self._history = self._history  # to the front
        end, width = self._end, self.width
        self._strip[end] = sample
        self._end = end + 1
        if self._seen < width:
            self._seen += 1
            if self._seen < width:
                return sample.copy()
        with np.errstate(invalid="ignore", over="ignore"):
            terms = np.multiply(self._strip[end + 1 - width : end + 1], self._column, out=self._terms)
            if self._n_channels > 1:
                return np.asarray(np.add.reduce(terms, axis=0))
            # A single channel would be summed in pairs, and not in order.
            return np.asarray(np.add.accumulate(terms)[-1])

    def process(self, X: ArrayLike) -> NDArray[np.float64]:
        """Filter a chunk of samples.

        Parameters
        ----------
        X : array (T, n_channels)
            Samples in order of time; T may be 0.

        Returns
        -------
        array (T, n_channels)
            The same, bit for bit, as `step` on each row.
        """
        chunk = as_chunk(X, self._n_channels)
        filtered = np.empty_like(chunk)
        for start in range(0, len(chunk), ROWS_PER_PASS):
            rows = slice(start, start + ROWS_PER_PASS)
            self._process_rows(chunk[rows], filtered[rows])
        return filtered

    def _process_rows(self, rows: NDArray[np.float64], filtered: NDArray[np.float64]) -> None:
        n = len(rows)
        block = np.concatenate((self._history, rows))
        product = np.empty_like(filtered)
        with np.errstate(invalid="ignore", over="ignore"):
            np.multiply(block[:n], self._taps[0], out=filtered)
            for k in range(1, self.width):
                np.multiply(block[k : k + n], self._taps[k], out=product)
                np.add(filtered, product, out=filtered)
        n_raw = max(0, min(n, self.width - 1 - self._seen))
        filtered[:n_raw] = rows[:n_raw]
        self._history = block[n:]
        self._seen = min(self._seen + n, self.width)
