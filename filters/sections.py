"""Second-order sections run over a vector, and what their initial states add to it."""

import numpy as np
from numpy.typing import NDArray

from filters.design import sos_order

Vector = NDArray[np.float64]


def run_sections(sos: Vector, x: Vector, states: Vector | None = None) -> Vector:
    """Run second-order sections, one behind the other, over the samples of `x`.

    Parameters
    ----------
    sos : array (n_sections, 6)
    x : array (n,)
    states : array (n_sections, 2), optional
        Initial states in transposed direct form II, as of ``scipy.signal.sosfilt``; None is zero.

    Returns
    -------
    array (n,)
    """
    samples = x.tolist()
    initial = np.zeros((len(sos), 2)) if states is None else states
    for (b0, b1, b2, _, a1, a2), (s1, s2) in zip(sos.tolist(), initial.tolist(), strict=True):
        for i, value in enumerate(samples):
            samples[i] = y = b0 * value + s1
            s1 = b1 * value - a1 * y + s2
            s2 = b2 * value - a2 * y
    return np.array(samples)


def run_backward(sos: Vector, x: Vector) -> Vector:
    """The same from the last sample to the first: as a matrix, the transpose of `run_sections`."""
    return run_sections(sos, x[::-1])[::-1]


def ringing(sos: Vector, n: int) -> Vector:
    """What initial states can add to `n` outputs, whatever the form of the filter: a basis, (n, order)."""
    poles = sos.copy()
    poles[:, :3] = 1, 0, 0
    used = np.stack([(sos[:, 4:] != 0).any(axis=1), sos[:, 5] != 0], axis=1).ravel()
    units = np.eye(2 * len(sos))[used].reshape(-1, len(sos), 2)
    columns = [run_sections(poles, np.zeros(n), unit) for unit in units]
    # Poles at 0 delay: they ring for one sample each.
    delays = np.eye(sos_order(sos) - len(columns), n)
    return np.vstack([*columns, delays]).T
