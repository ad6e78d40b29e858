"""Causal recursive filter, one pass."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filters.design import check_sos, sos_delay, sos_response
from filters.samples import as_chunk, as_sample, check_state
from filters.settings import check_integer, check_positive

# 2^40 samples: longer than any response that double precision can design.
DOUBLINGS = 40


class CausalSos:
    """Second-order sections run forward only.

    The first sample after `reset` sets the state to what an endless past of that sample would have left: a
    constant input gives no start-up transient, and there is no warm-up.

    Parameters
    ----------
    sos : array (n_sections, 6)
        Second-order sections, gain 1 at 0 Hz, see `bessel_sos`.
    n_channels : int
        Channels, filtered independently.
    rate_hz : float
        Samples per second.

    Raises
    ------
    FilterDesignError
        If a setting is out of range.

    Notes
    -----
    A NaN or infinity is not an error, but it stays: all later outputs of that channel are NaN until `reset`.

    Examples
    --------
    >>> from filters import bessel_sos
    >>> smooth = CausalSos(bessel_sos(2, 18.75, 250.0), rate_hz=250.0)
    >>> round(1000 * smooth.delay_s, 1)
    14.4
    """

    def __init__(self, sos: ArrayLike, n_channels: int = 1, *, rate_hz: float) -> None:
        # Not above: block filters do without scipy, whose modules would be a third of a live worker's memory.
        from scipy import signal

        self._sosfilt = signal.sosfilt
        self._sos = check_sos(sos)
        self._n_channels = check_integer("n_channels", n_channels, 1, None, "Give the number of channels to filter.")
        self._rate_hz = check_positive("rate_hz", rate_hz, "Give the number of samples per second.")
        self._settled = np.asarray(signal.sosfilt_zi(self._sos), dtype=np.float64)[:, :, None]
        self.reset()

    @property
    def sos(self) -> NDArray[np.float64]:
        """Second-order sections (n_sections, 6); a copy."""
        return self._sos.copy()

    @property
    def n_channels(self) -> int:
        """Channels, filtered independently."""
        return self._n_channels

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        return self._rate_hz

    @property
    def memory_samples(self) -> None:
        """None: an output depends on all samples since `reset`."""
        return None

    @property
    def lookahead_samples(self) -> int:
        """0: a causal filter waits for nothing."""
        return 0

    @property
    def lag_samples(self) -> float:
        """Group delay at 0 Hz, in samples."""
        return sos_delay(self._sos)

    @property
    def lag_s(self) -> float:
        """`lag_samples` in seconds."""
        return self.lag_samples / self._rate_hz

    @property
    def delay_samples(self) -> float:
        """Group delay at 0 Hz, in samples."""
        return sos_delay(self._sos)

    @property
    def delay_s(self) -> float:
        """`delay_samples` in seconds."""
        return self.delay_samples / self._rate_hz

    @property
    def noise_gain(self) -> float:
        """Standard deviation of the output for white noise of standard deviation 1."""
        n = self._sos.shape[0] * 2
        unit_states = np.eye(n).reshape(-1, 2, n)
        c, a = self._sosfilt(self._sos, np.zeros((1, n)), axis=0, zi=unit_states)
        d, b = self._sosfilt(self._sos, np.ones((1, 1)), axis=0, zi=np.zeros((len(self._sos), 2, 1)))
        a, b = np.reshape(a, (n, n)), np.reshape(b, (n, 1))
        # The sum of A^k b b' A'^k over all k, twice as many terms each time. A Lyapunov solver would call
        # the equation ill-conditioned at high orders with low cutoffs.
        covariance = b @ b.T
        for _ in range(DOUBLINGS):
            covariance += a @ covariance @ a.T
            a = a @ a
        return float(np.sqrt((c @ covariance @ c.T + d**2).item()))

    @property
    def warming_up(self) -> bool:
        """False: see the initial condition above."""
        return False

    def gain(self, frequencies_hz: ArrayLike) -> NDArray[np.float64]:
        """Return the amplitude gain at these frequencies (0 to `rate_hz` / 2)."""
        return np.abs(sos_response(self._sos, frequencies_hz, self._rate_hz))

    def reset(self) -> None:
        """Forget all samples."""
        self._sections = np.zeros((len(self._sos), 2, self._n_channels))
        self._started = False

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of the sections' states and of whether a first sample has set them."""
        return {"sections": self._sections.copy(), "started": np.array(self._started)}

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from a saved state.

        Parameters
        ----------
        state : mapping of str to array
            What `state` returned on a filter with as many sections and channels.

        Raises
        ------
        FilterInputError
            If names, shapes or dtypes do not fit; the filter is then unchanged.
        """
        loaded = check_state(state, self.state())
        self._sections = loaded["sections"].astype(np.float64, copy=False)
        self._started = bool(loaded["started"])

    def step(self, x: ArrayLike) -> NDArray[np.float64]:
        """Filter one sample.

        Parameters
        ----------
        x : array (n_channels,)
            The newest sample.

        Returns
        -------
        array (n_channels,)
            The filtered sample.
        """
        filtered: NDArray[np.float64] = self.process(as_sample(x, self._n_channels)[None])[0]
        return filtered

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
        if not len(chunk):
            return chunk.copy()
        with np.errstate(invalid="ignore", over="ignore"):
            if not self._started:
                self._sections = self._settled * chunk[0]
                self._started = True
            filtered, self._sections = self._sosfilt(self._sos, chunk, axis=0, zi=self._sections)
        return np.asarray(filtered)
