"""Reaches of an O'Doherty and Sabes session, and the split in their order that NeuroBench scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bmi_decoder.errors import InputError
from bmi_decoder.formats.hdf5 import member, open_hdf5, read_numbers
from bmi_decoder.formats.reader_process import in_reader_process

if TYPE_CHECKING:
    import h5py

Spans = tuple[tuple[int, int], ...]

INACTIVE_BINS = 2000
"""Reaches of 8 s and more, in bins of 4 ms: the subject does something else."""


@dataclass(frozen=True)
class ReachSplit:
    """Which bins are for training, validation and test.

    Attributes
    ----------
    train, validation, test : tuple of (start, stop)
        Bin ranges, one per reach. Reaches follow each other without a hole, so that the parts of a split by
        order are contiguous unless reaches are left out.
    """

    train: Spans
    validation: Spans
    test: Spans


@in_reader_process
def read_reaches(path: Path | str) -> Spans:
    """Read where the target changes.

    Parameters
    ----------
    path : Path or str
        File that `read_odoherty` reads, with `target_pos` (2, T).

    Returns
    -------
    tuple of (start, stop)
        Ranges of 4 ms bins that tile the recording, as `reaches_of_targets` gives them.

    Raises
    ------
    InputError
        If the file is damaged or `target_pos` is missing or of another shape.
    """
    path = Path(path)
    with open_hdf5(path) as file:
        reaches = reaches_in(file, path)
    if reaches is None:
        raise InputError(f"{path}: variable 'target_pos' is missing, so the reaches are not known")
    return reaches


def reaches_in(file: h5py.File, path: Path) -> Spans | None:
    """Read as `read_reaches` does, from an open file; None if it has no targets."""
    variable = member(file, "target_pos", path)
    if variable is None:
        return None
    targets = read_numbers(variable, "target_pos", path)
    if targets.ndim != 2 or len(targets) != 2 or not targets.shape[1]:
        raise InputError(f"{path}: target_pos must be (2, T), one column per sample, got shape {targets.shape}")
    return reaches_of_targets(targets)


def reaches_of_targets(targets: npt.NDArray[np.float64]) -> Spans:
    """Cut where the target changes.

    Parameters
    ----------
    targets : array (2, T)
        Position of the target at every sample.

    Returns
    -------
    tuple of (start, stop)
        Ranges that tile ``[0, T)``. As in NeuroBench, a reach begins with the last sample of the target before,
        and the stretches before the first change and after the last are reaches too. A change at the very first
        sample gives an empty reach, which counts in a split by order.

    Examples
    --------
    >>> reaches_of_targets(np.array([[0.0, 0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 2.0]]))
    ((0, 1), (1, 3), (3, 5))
    """
    changes = np.flatnonzero(np.any(np.diff(targets, axis=1) != 0, axis=0))
    return tuple(pairwise([0, *changes.tolist(), targets.shape[1]]))


def split_by_reaches(reaches: Spans, train: float = 0.5, longest_training_bins: int | None = None) -> ReachSplit:
    """Split in the order of the reaches, as NeuroBench does.

    Parameters
    ----------
    reaches : tuple of (start, stop)
        From `read_reaches`.
    train : float
        Share of the reaches, the first ones, to train on. What is left is halved into validation and test: 0.5
        gives NeuroBench's own 50/25/25, 0.8 the 80/10/10 that papers also report.
    longest_training_bins : int, optional
        Leave reaches of this many bins and more out of training and validation, but not of the test, as the
        published baselines do with `INACTIVE_BINS`. None leaves none out.

    Returns
    -------
    ReachSplit
        Empty reaches are left out; they have counted in the shares.

    Raises
    ------
    InputError
        If the share is not between 0 and 1.

    Examples
    --------
    >>> split_by_reaches(((0, 3), (3, 5), (5, 6), (6, 9)), 0.5)
    ReachSplit(train=((0, 3), (3, 5)), validation=((5, 6),), test=((6, 9),))
    """
    if not 0 <= train <= 1:
        raise InputError(f"the share of reaches to train on must be between 0 and 1, got {train}")
    first = math.floor(train * len(reaches))
    second = first + (len(reaches) - first) // 2
    short = longest_training_bins or math.inf
    return ReachSplit(
        _kept(reaches[:first], short),
        _kept(reaches[first:second], short),
        _kept(reaches[second:], math.inf),
    )


def _kept(reaches: Spans, shorter_than: float) -> Spans:
    return tuple((start, stop) for start, stop in reaches if 0 < stop - start < shorter_than)
