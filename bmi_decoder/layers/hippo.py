"""Initial poles of structured state spaces."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def hippo_poles(n: int, blocks: int) -> npt.NDArray[np.complex128]:
    """Eigenvalues of `blocks` normal parts of the HiPPO-LegS matrix, one behind the other.

    HiPPO-LegS (m, m) is ``A = -(tril(p p^T) - diag(k))`` with ``p = sqrt(1 + 2 k)``, k = 0 ... m - 1. With ``q q^T``,
    ``q = sqrt(k + 1/2)``, added to it, it is normal: a skew-symmetric matrix less half the identity. So every
    eigenvalue has the real part -1/2, and the imaginary parts come in pairs of both signs.

    Parameters
    ----------
    n : int
        Eigenvalues in all.
    blocks : int
        A divisor of n.

    Returns
    -------
    array (n,) complex
        By rising imaginary part within each block.

    Raises
    ------
    ValueError
        If the blocks are not of one size.

    Notes
    -----
    Gu et al. 2020, NeurIPS 33 1474 (HiPPO); Gu, Goel & Re 2022, ICLR (its normal part); Smith, Warrington & Linderman
    2023, ICLR (blocks).

    Examples
    --------
    >>> hippo_poles(4, 2).round(3).tolist()
    [(-0.5-0.866j), (-0.5+0.866j), (-0.5-0.866j), (-0.5+0.866j)]
    """
    if n < 1 or blocks < 1 or n % blocks:
        raise ValueError(f"{n} neurons cannot be cut into {blocks} blocks of one size")
    k = np.arange(n // blocks)
    root = np.sqrt(1 + 2 * k)
    skew = np.diag(k + 0.5) - np.tril(np.outer(root, root)) + np.outer(root, root) / 2
    return np.tile(-0.5 + 1j * np.linalg.eigvalsh(-1j * skew), blocks)
