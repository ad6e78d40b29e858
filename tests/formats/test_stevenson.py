from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from bmi_decoder.errors import InputError
from bmi_decoder.formats import read_stevenson
from bmi_decoder.recording import Output

WriteMat = Callable[..., Path]


def test_the_real_session(data_dir: Path) -> None:
    path = data_dir / "stevenson_m1" / "stevenson_m1_dev.mat"
    recording, reference = read_stevenson(path), loadmat(path)
    assert np.array_equal(recording.counts.T, reference["spikes"])
    assert np.array_equal(recording.kinematics.T, reference["handVel"][:2])
    assert recording.outputs == (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    assert (recording.bin_s, recording.t0, recording.spans) == (0.05, reference["time"][0, 0], ((0, 12428),))


def test_a_jump_of_time_begins_a_segment(write_mat: WriteMat) -> None:
    time = 7.0 + 0.05 * np.arange(30)
    time[12:] += 0.3
    recording = read_stevenson(write_mat(time=time[:, None]))
    assert (recording.spans, recording.t0) == (((0, 12), (12, 30)), 7.0)


def test_a_third_axis_that_moves_is_kept(write_mat: WriteMat) -> None:
    velocity = np.random.default_rng(0).standard_normal((3, 30))
    recording = read_stevenson(write_mat(handVel=velocity))
    assert [output.name for output in recording.outputs] == ["x_velocity", "y_velocity", "z_velocity"]
    assert np.array_equal(recording.kinematics.T, velocity)


def test_two_axes_are_enough(write_mat: WriteMat) -> None:
    assert read_stevenson(write_mat(handVel=np.ones((2, 30)))).n_outputs == 2


@pytest.mark.parametrize("key", ["spikes", "handVel", "time", "timeBase"])
def test_a_missing_variable_is_named(key: str, write_mat: WriteMat) -> None:
    with pytest.raises(InputError, match=f"session.mat: variable '{key}' is missing; .* the file has "):
        read_stevenson(write_mat(**{key: None}))


def _with(values: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    changed = values.astype(float)
    changed[row, column] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spikes": np.ones((3, 29))}, r"handVel must be \(2 or 3, 29\)"),
        ({"spikes": np.ones((3, 30, 2))}, r"spikes must be \(channels, bins\)"),
        ({"spikes": np.ones((3, 0)), "handVel": np.ones((3, 0)), "time": np.ones((1, 0))}, "spikes must be"),
        ({"handVel": np.ones((30, 3))}, r"handVel must be \(2 or 3, 30\), .* got shape \(30, 3\)"),
        ({"time": np.arange(29.0)}, "time must hold one value per bin, 30"),
        ({"timeBase": [0.05, 0.05]}, "timeBase must be one number"),
        ({"timeBase": -0.05}, "timeBase must be a positive"),
        ({"timeBase": np.nan}, "timeBase must be a positive"),
        ({"timeBase": 0.1}, "bin width is 0.1 s, but time advances by 0.05"),
        ({"time": np.zeros(30)}, "time must be finite and increase, got 0.0 after 0.0 at bin 1"),
        ({"spikes": "text"}, r"spikes must be \(channels|spikes must be a matrix|handVel must be"),
        ({"spikes": _with(np.zeros((3, 30)), 1, 4, -1)}, "not be negative, got -1.0 at bin 4, channel 1"),
        ({"spikes": _with(np.zeros((3, 30)), 1, 4, 0.5)}, "whole numbers, got 0.5 at bin 4, channel 1"),
        ({"spikes": 1j * np.ones((3, 30))}, "spikes must be a matrix of real numbers, got complex"),
        ({"handVel": _with(np.zeros((3, 30)), 0, 6, np.nan)}, "must be finite, got nan at bin 6, column 0"),
        ({"handVel": np.full((3, 30), np.inf)}, "must be finite, got inf at bin 0, column 0"),
    ],
)
def test_a_malformed_session_is_refused(changes: dict[str, Any], reason: str, write_mat: WriteMat) -> None:
    with pytest.raises(InputError, match=f"session.mat: .*{reason}"):
        read_stevenson(write_mat(**changes))


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.95])
def test_a_truncated_session_is_refused(kept: float, write_mat: WriteMat) -> None:
    path = write_mat()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_stevenson(path)


@pytest.mark.parametrize("userblock", [0, 512])
def test_matlab_7_3_is_another_layout(userblock: int, tmp_path: Path) -> None:
    path = tmp_path / "new.mat"
    with h5py.File(path, "w", userblock_size=userblock) as file:
        file["spikes"] = np.ones((3, 4))
    if userblock:
        with open(path, "r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file")
    with pytest.raises(InputError, match=r"v7.3 \(HDF5\); this layout is read from v5, in MATLAB save"):
        read_stevenson(path)


def test_matlab_4_is_not_read(tmp_path: Path) -> None:
    savemat(tmp_path / "old.mat", {"spikes": np.ones((3, 4))}, format="4")
    with pytest.raises(InputError, match="not a MATLAB v5 file"):
        read_stevenson(tmp_path / "old.mat")
