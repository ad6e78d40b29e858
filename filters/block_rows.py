"""Single rows of the matrix that a forward-backward filter over a fixed block amounts to.

The matrix is a product of simple ones. One of its rows comes from the transposed product applied to a unit vector, and
that costs as much as filtering one block; a whole matrix of the widest block would keep a live worker waiting.
"""

import numpy as np
from numpy.typing import NDArray

from filters.sections import ringing, run_backward, run_sections

Vector = NDArray[np.float64]


def padded_row(sos: Vector, width: int, position: int, boundary: str, padding: int) -> Vector:
    """Row `position` with the block extended at both ends by `padding` samples, as ``scipy.signal.sosfiltfilt`` does.

    Parameters
    ----------
    sos : array (n_sections, 6)
        Gain 1 at 0 Hz.
    width, position, padding : int
    boundary : {'odd', 'constant'}

    Returns
    -------
    array (width,)
    """
    unit = np.zeros(width + 2 * padding)
    unit[padding + position] = 1
    # Forward, then backward; transposed, and so the other way around.
    row = _transposed_pass(sos, _transposed_pass(sos, unit[::-1])[::-1])
    left, taps, right = np.split(row, [padding, padding + width])
    if boundary == "odd":
        # Samples reflected through an end point: twice that point, less the sample.
        taps[0] += 2 * left.sum()
        taps[-1] += 2 * right.sum()
        taps[1 : padding + 1] -= left[::-1]
        taps[-1 - padding : -1] -= right[::-1]
    else:
        taps[0] += left.sum()
        taps[-1] += right.sum()
    return taps


def _transposed_pass(sos: Vector, v: Vector) -> Vector:
    """Transpose of one pass that begins in the steady state of its first sample.

    The pass is H (x - x0) + x0, with x0 in every place and H the filter from rest.
    """
    u = run_backward(sos, v)
    u[0] += v.sum() - u.sum()
    return u


def gustafsson_row(sos: Vector, width: int, position: int) -> tuple[Vector, float]:
    """Row `position` with the initial states of both passes for which their order matters least.

    Parameters
    ----------
    sos : array (n_sections, 6)
    width, position : int

    Returns
    -------
    array (width,)
    float
        Largest error of a filtered constant: large if the states cannot be told in double precision.

    Notes
    -----
    Gustafsson 1996, IEEE Trans. Signal Process. 44 988. With F the pass forward from rest, R = F^T the one backward, O
    what states add to a pass and J the reversal: forward-backward is ``R F x + W s`` with ``W = [R O, J O]``, its
    difference to backward-forward ``M s - (F R - R F) x`` with ``M = [R O - O, J O - F J O]``, and s minimises it.
    """

    def both(v: Vector) -> tuple[Vector, Vector]:
        return run_backward(sos, run_sections(sos, v)), run_sections(sos, run_backward(sos, v))

    # Any basis will do, and this one is well-conditioned.
    o = np.linalg.qr(ringing(sos, width)).Q
    ro = np.array([run_backward(sos, column) for column in o.T]).T
    fjo = np.array([run_sections(sos, column) for column in o[::-1].T]).T
    w, m = np.hstack([ro, o[::-1]]), np.hstack([ro - o, o[::-1] - fjo])
    unit = np.zeros(width)
    unit[position] = 1
    q = np.linalg.lstsq(m.T, w[position], rcond=None)[0]
    rf_q, fr_q = both(q)
    row = both(unit)[0] + fr_q - rf_q
    rf_1, fr_1 = both(np.ones(width))
    constant = rf_1 + w @ np.linalg.lstsq(m, fr_1 - rf_1, rcond=None)[0]
    return row, float(np.abs(constant - 1).max())
