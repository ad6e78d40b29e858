"""What every streaming filter offers."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Filter(Protocol):
    """A linear filter over samples that arrive one by one or in chunks of any size.

    `filters.check_filter` holds an implementation to this contract.
    """

    @property
    def n_channels(self) -> int:
        """Channels, filtered independently."""

    @property
    def rate_hz(self) -> float:
        """Samples per second."""

    @property
    def memory_samples(self) -> int | None:
        """Newest samples that an output depends on; None if all since `reset` (recursive filters)."""

    @property
    def lookahead_samples(self) -> int:
        """Samples that arrived after the one the output is an estimate for; 0 if none."""

    @property
    def lag_samples(self) -> float:
        """Declared age of the output: the lookahead of a block filter, the delay of a causal one."""

    @property
    def lag_s(self) -> float:
        """`lag_samples` in seconds."""

    @property
    def delay_samples(self) -> float:
        """Group delay at 0 Hz against the newest sample: how late a slow movement appears."""

    @property
    def delay_s(self) -> float:
        """`delay_samples` in seconds."""

    @property
    def noise_gain(self) -> float:
        """Standard deviation of the output for white noise of standard deviation 1."""

    @property
    def warming_up(self) -> bool:
        """True while outputs are not yet the filter's own."""

    def step(self, x: ArrayLike) -> NDArray[np.float64]:
        """Filter one sample (n_channels,)."""

    def process(self, X: ArrayLike) -> NDArray[np.float64]:
        """Filter a chunk (T, n_channels), T >= 0: the same, bit for bit, as `step` on each row."""

    def reset(self) -> None:
        """Forget all samples."""

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of the arrays that `load_state` needs to go on from here."""

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Go on from a saved state."""

    def gain(self, frequencies_hz: ArrayLike) -> NDArray[np.float64]:
        """Return the amplitude gain at these frequencies (0 to `rate_hz` / 2)."""
