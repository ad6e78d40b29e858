"""Our reader of O'Doherty sessions against the loader of the public neurobench package."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.formats import read_odoherty, read_reaches, split_by_reaches
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, write_odoherty

# neurobench takes the number of channels from the name of the file, and has no names but these.
SETTINGS = SubjectSettings(seed=5, population=PopulationSettings(n_channels=96))


def _bins(spans: tuple[tuple[int, int], ...]) -> list[int]:
    return [index for start, stop in spans for index in range(start, stop)]


@pytest.mark.parametrize("ratio", [0.5, 0.8])
def test_samples_labels_and_split(ratio: float, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = pytest.importorskip("neurobench.datasets", reason="the neurobench package is not installed")
    path = tmp_path / "indy_simulated.mat"
    write_odoherty(SETTINGS, 60.0, path)
    theirs = datasets.PrimateReaching(
        str(tmp_path), path.name, num_steps=1, train_ratio=ratio, bin_width=0.004, download=False
    )
    ours, split = read_odoherty(path), split_by_reaches(read_reaches(path), ratio)
    assert np.array_equal(theirs.samples.numpy().T[: ours.n_bins], ours.counts)
    # They take differences of positions in float32.
    assert np.abs(250 * theirs.labels.numpy().T - ours.kinematics).max() < 0.005
    assert _bins(split.train) == list(theirs.ind_train)
    assert _bins(split.validation) == list(theirs.ind_val)
    assert _bins(split.test) == list(theirs.ind_test)
