from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.cli import main
from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_odoherty, read_reaches
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, reach_stream, simulate, write_odoherty

SETTINGS = SubjectSettings(seed=11, population=PopulationSettings(n_channels=12))


def test_the_file_is_of_the_simulated_session(tmp_path: Path) -> None:
    write_odoherty(SETTINGS, 20.0, tmp_path / "a.mat")
    read, truth = read_odoherty(tmp_path / "a.mat"), simulate(SETTINGS, 20.0)
    # Central differences of a minimum-jerk path at 250 Hz.
    assert np.abs(read.kinematics / 1e3 - truth.kinematics).max() < 0.005
    # Two spikes may share a 4 ms bin of the file and count as one.
    assert 0.95 < read.counts.sum() / truth.counts.sum() <= 1
    _, _, target = reach_stream(SETTINGS).bins_with_targets(5000)
    starts = [start for start, _ in read_reaches(tmp_path / "a.mat")][1:]
    assert starts == np.flatnonzero(np.any(np.diff(target, axis=0) != 0, axis=1)).tolist()


def test_the_same_session_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mat", "b.mat"):
        write_odoherty(SETTINGS, 2.0, tmp_path / name)
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()
    assert (tmp_path / "a.mat").read_bytes().startswith(b"MATLAB 7.3 MAT-file")


def test_bins_other_than_4_ms_are_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"samples of 4 ms, got bins of 0\.02 s"):
        write_odoherty(SubjectSettings(bin_s=0.02), 2.0, tmp_path / "a.mat")
    with pytest.raises(InputError, match="cannot be written"):
        write_odoherty(SETTINGS, 2.0, tmp_path / "nowhere" / "a.mat")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_it(tmp_path: Path) -> None:
    assert main(["simulate", str(tmp_path / "a.mat"), "--seconds", "2", "--channels", "4"]) == 0
    assert read_odoherty(tmp_path / "a.mat").n_channels == 4
