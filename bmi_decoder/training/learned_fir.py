"""Learns a fixed-lag FIR for a decoder's output: least squares of the truth on the newest raw estimates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

N_FOLDS = 5
_WIDTHS = (2, 4, 8, 16, 32, 64, 96)
_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class LearnedFir:
    """Taps, and how good such taps are on data that they were not learned from.

    Attributes
    ----------
    taps : array (width,)
        Oldest first, learned from all bins.
    lookahead : int
    ridge : float
        Penalty on the taps, relative to the mean power of the raw estimates.
    r2 : float
        Of held-out folds together.
    r2_per_fold : tuple of float
    """

    taps: npt.NDArray[np.float64]
    lookahead: int
    ridge: float
    r2: float
    r2_per_fold: tuple[float, ...]


def learn_fir(truth: Floats, raw: Floats, lookaheads: Sequence[int], skip: int) -> LearnedFir | None:
    """The FIR with the best cross-validated R2 over widths, lookaheads and penalties.

    Parameters
    ----------
    truth, raw : array (T, K)
        Labels and raw estimates. All outputs share the taps, each counts by its own variance.
    lookaheads : sequence of int
        Bins behind the newest one that the output may describe.
    skip : int
        First bin that is judged, so that filters of all kinds are judged on the same bins; at least the longest
        width.

    Returns
    -------
    LearnedFir or None
        None where the data is too short.

    Notes
    -----
    Folds are contiguous. Bins whose window overlaps that of a held-out bin are not learned from.
    """
    best: LearnedFir | None = None
    for lookahead in lookaheads:
        for width in _WIDTHS:
            if lookahead < width <= skip + 1:
                for found in _candidates(truth, raw, lookahead, width, skip):
                    if best is None or found.r2 > best.r2:
                        best = found
    return best


def folds(n_bins: int, skip: int) -> list[slice]:
    """Contiguous parts of the judged bins; none where they would be shorter than 16 bins."""
    edges = np.linspace(skip, n_bins, N_FOLDS + 1).astype(int)
    parts = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    return parts if all(part.stop - part.start >= 16 for part in parts) else []


def r2_by_fold(truth: Floats, estimate: Floats, lookahead: int, skip: int) -> tuple[float, tuple[float, ...]]:
    """R2 over all folds together, and of each; `estimate` (T, K) at bin k describes bin k - lookahead."""
    parts = folds(len(truth), skip)
    scale = _variance(truth)
    errors, totals = [], []
    for part in parts:
        wanted = truth[part.start - lookahead : part.stop - lookahead]
        errors.append(((wanted - estimate[part]) ** 2).sum(0) / scale)
        totals.append(((wanted - wanted.mean(0)) ** 2).sum(0) / scale)
    every = truth[skip - lookahead : len(truth) - lookahead]
    total = ((every - every.mean(0)) ** 2).sum(0) / scale
    moving = total > 0
    pooled = float((1 - np.sum(errors, 0)[moving] / total[moving]).mean()) if moving.any() else float("nan")
    each = tuple(
        float((1 - error[moving] / np.maximum(around[moving], 1e-12)).mean())
        for error, around in zip(errors, totals, strict=True)
    )
    return pooled, each


def _candidates(truth: Floats, raw: Floats, lookahead: int, width: int, skip: int) -> Iterator[LearnedFir]:
    """One per penalty, of one width and lookahead."""
    parts = folds(len(truth), skip)
    if not parts:
        return
    weight = 1 / np.sqrt(_variance(truth))
    rows = np.arange(skip, len(truth))
    # (bins, K, width): what each output's filter sees at each bin, oldest first.
    seen = np.lib.stride_tricks.sliding_window_view(raw.astype(np.float64) * weight, width, axis=0)[rows - width + 1]
    wanted = truth[rows - lookahead] * weight

    def sums(chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        flat = seen[chosen].reshape(-1, width)
        return flat.T @ flat, flat.T @ wanted[chosen].reshape(-1)

    far = {}
    for i, part in enumerate(parts):
        far[i] = sums((rows < part.start - width) | (rows >= part.stop + width))
    whole = sums(np.ones(len(rows), bool))
    for ridge in _RIDGES:
        estimate = np.zeros(truth.shape)
        for i, part in enumerate(parts):
            held_out = slice(part.start - skip, part.stop - skip)
            estimate[part] = seen[held_out] @ _solve(*far[i], ridge) / weight
        r2, each = r2_by_fold(truth, estimate, lookahead, skip)
        yield LearnedFir(_solve(*whole, ridge), lookahead, ridge, r2, each)


def _solve(gram: npt.NDArray[np.float64], target: npt.NDArray[np.float64], ridge: float) -> npt.NDArray[np.float64]:
    power = float(np.trace(gram)) / len(gram)
    if not power > 0:
        return np.zeros(len(gram))
    return np.asarray(np.linalg.solve(gram + ridge * power * np.eye(len(gram)), target), np.float64)


def _variance(truth: Floats) -> npt.NDArray[np.float64]:
    variance = np.asarray(truth, np.float64).var(0)
    return np.asarray(np.where(variance > 0, variance, 1.0), np.float64)
