from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_odoherty, read_reaches, split_by_reaches
from bmi_decoder.formats.reaches import INACTIVE_BINS, reaches_of_targets


def _published_split(reaches: list[tuple[int, int]], ratio: float) -> list[int]:
    """NeuroBench's `split_data` with split_num=1 and stride=0.004: which part each bin is in."""
    n_train = int(np.floor(ratio * len(reaches)))
    n_validation = int(np.floor((len(reaches) - n_train) / 2))
    part = []
    for i, (start, stop) in enumerate(reaches):
        part += [0 if i < n_train else 1 if i < n_train + n_validation else 2] * (stop - start)
    return part


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_split_of_neurobench(target: list[int], ratio: float) -> None:
    targets = np.array([target, [0.0] * len(target)])
    changes = [i for i in range(len(target) - 1) if target[i] != target[i + 1]]
    reaches = reaches_of_targets(targets)
    assert reaches == tuple(zip([0, *changes], [*changes, len(target)], strict=True))
    split = split_by_reaches(reaches, ratio)
    part = np.full(len(target), -1)
    for i, spans in enumerate((split.train, split.validation, split.test)):
        for start, stop in spans:
            part[start:stop] = i
    assert part.tolist() == _published_split(list(reaches), ratio)


def test_inactive_reaches_are_left_out_of_training_only() -> None:
    reaches = ((0, 2000), (2000, 2100), (2100, 5000), (5000, 5010), (5010, 8000))
    split = split_by_reaches(reaches, 0.5, INACTIVE_BINS)
    assert (split.train, split.validation) == (((2000, 2100),), ())
    assert split.test == ((5000, 5010), (5010, 8000)), "its third reach was to validate on"


def test_reaches_of_a_file_tile_its_recording(samples: dict[str, Path]) -> None:
    reaches = read_reaches(samples["odoherty"])
    assert len(reaches) >= 2
    assert (reaches[0][0], reaches[-1][1]) == (0, read_odoherty(samples["odoherty"]).n_bins)


def test_errors(samples: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=r"between 0 and 1, got 1\.5"):
        split_by_reaches(((0, 1),), 1.5)
    with h5py.File(samples["odoherty"], "r+") as file:
        del file["target_pos"]
    with pytest.raises(InputError, match="'target_pos' is missing, so the reaches are not known"):
        read_reaches(samples["odoherty"])
