"""The matrices of the Legendre memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

Matrix = npt.NDArray[np.float64]

_LONG_IN_WINDOWS = 20


def legendre_matrices(order: int, window: float) -> tuple[Matrix, Matrix]:
    """Discrete matrices of a memory that holds a sliding window as coefficients of Legendre polynomials.

    The continuous memory of a window of theta is ``theta dm/dt = A m + B u`` with::

        A_ij = (2i + 1) (-1 if i < j else (-1)^(i - j + 1))
        B_i = (2i + 1) (-1)^i                                      i, j = 0 ... order - 1

    It is sampled once per bin with the input held in between (zero-order hold).

    Parameters
    ----------
    order : int
        Polynomials, at least 1.
    window : float
        theta in bins, above 0.

    Returns
    -------
    abar : array (order, order)
    bbar : array (order,)
        ``m = abar m' + bbar u``.

    Notes
    -----
    Voelker, Kajic & Eliasmith 2019, NeurIPS 32.
    """
    if order < 1 or not window > 0:
        raise ValueError(
            f"a Legendre memory needs an order of 1 at least and a window above 0 bins, got {order} and {window}"
        )
    i, j = np.mgrid[:order, :order]
    both = np.zeros((order + 1, order + 1))
    both[:order, :order] = (2 * i + 1) * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    both[:order, order] = ((2 * i + 1) * (-1.0) ** i)[:, 0]
    held = expm(both / window)
    return held[:order, :order], held[:order, order]


def largest_coefficient(abar: Matrix, bbar: Matrix, window: float) -> float:
    """Bound on the magnitude of every coefficient while the input stays within [0, 1]."""
    response, total = bbar, np.abs(bbar)
    for _ in range(int(_LONG_IN_WINDOWS * window) + 1):
        response = abar @ response
        total = total + np.abs(response)
    return float(total.max())
