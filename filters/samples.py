"""Checks of what a running filter is given: samples and saved states."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filters.errors import FilterInputError

REAL_KINDS = "buif"


def as_sample(x: ArrayLike, n_channels: int) -> NDArray[np.float64]:
    """Return one sample as float64 (n_channels,)."""
    if type(x) is np.ndarray and x.dtype == np.float64 and x.shape == (n_channels,):
        return x
    return _as_real(x, (n_channels,), f"a sample must have shape ({n_channels},), one value per channel")


def as_chunk(X: ArrayLike, n_channels: int) -> NDArray[np.float64]:
    """Return a chunk of samples as float64 (T, n_channels); T may be 0."""
    return _as_real(X, (None, n_channels), f"a chunk must have shape (T, {n_channels}), samples by channels")


def _as_real(values: ArrayLike, shape: tuple[int | None, ...], rule: str) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.dtype.kind not in REAL_KINDS:
        raise FilterInputError(f"samples must be real numbers; got dtype {array.dtype}. Convert them to float64.")
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise FilterInputError(
            f"{rule}; got shape {array.shape}. "
            "Select the filter's channels, or build the filter with another n_channels."
        )
    return array.astype(np.float64, copy=False)


def check_state(
    state: Mapping[str, NDArray[np.generic]], like: Mapping[str, NDArray[np.generic]]
) -> dict[str, NDArray[np.generic]]:
    """Return copies of the arrays of `state`, which must have the names, shapes and dtypes of `like`."""
    if set(state) != set(like):
        raise FilterInputError(
            f"a saved state must hold {sorted(like)}; got {sorted(state)}. Load a state that this kind of filter saved."
        )
    copies = {}
    for name, model in like.items():
        got = np.asarray(state[name])
        if got.shape != model.shape or got.dtype != model.dtype:
            raise FilterInputError(
                f"state {name!r} must be {model.dtype} {model.shape}; got {got.dtype} {got.shape}. "
                "Load a state saved by a filter of the same design and channel count."
            )
        copies[name] = got.copy()
    return copies
