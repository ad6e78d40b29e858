"""Small files of every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bmi_decoder.formats import reader_process, write_npz
from bmi_decoder.recording import Output, Recording
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, write_odoherty
from tests.formats.nwb_writer import series, write_nwb
from tests.formats.xdf_writer import stream, write_xdf


@pytest.fixture(autouse=True)
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of damaged files are read without a process for each; what that process does has its own tests."""
    monkeypatch.setattr(reader_process, "is_reader", True)


@pytest.fixture
def recording() -> Recording:
    """40 bins of 20 ms, 3 channels, in two segments."""
    rng = np.random.default_rng(5)
    return Recording(
        rng.poisson(1.0, (40, 3)),
        rng.standard_normal((40, 2)),
        (Output("x_velocity", "m/s"), Output("y_velocity", "m/s")),
        0.02,
        t0=12.5,
        segments=((0, 17), (17, 40)),
        channels=("a1", "a2", "b1"),
        source="a test",
    )


@pytest.fixture
def write_mat(tmp_path: Path) -> Callable[..., Path]:
    """Write a Stevenson file; keywords replace variables, None leaves one out."""

    def write(**changes: Any) -> Path:
        rng = np.random.default_rng(5)
        variables: dict[str, Any] = {
            "spikes": rng.poisson(2.0, (3, 30)).astype(np.uint8),
            "handVel": np.vstack([rng.standard_normal((2, 30)), np.zeros((1, 30))]),
            "time": 7.0 + 0.05 * np.arange(30),
            "timeBase": 0.05,
        }
        variables |= changes
        path = tmp_path / "session.mat"
        kept = {name: value for name, value in variables.items() if value is not None}
        savemat(path, kept, do_compression=True)
        return path

    return write


@pytest.fixture
def trial() -> dict[str, list[str]]:
    """Columns of a trial CSV."""
    rng = np.random.default_rng(5)
    return {
        "timestamp": [f"{2282.6 + 0.001 * i:.3f}" for i in range(30)],
        "eye_pos_x": ["n/a"] * 30,
        "hand_vel_x": [f"{value:.4f}" for value in rng.standard_normal(30)],
        "hand_vel_y": [f"{value:.4f}" for value in rng.standard_normal(30)],
        "unit_1011": [str(value) for value in rng.integers(0, 2, 30)],
        "unit_1021": [str(value) for value in rng.integers(0, 2, 30)],
    }


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[[dict[str, list[str]]], Path]:
    def write(columns: dict[str, list[str]]) -> Path:
        path = tmp_path / "trial.csv"
        rows = zip(*columns.values(), strict=True)
        path.write_text("\n".join([",".join(columns), *(",".join(row) for row in rows)]) + "\n")
        return path

    return write


@pytest.fixture
def samples(
    recording: Recording, write_mat: Callable[..., Path], write_csv: Any, trial: Any, tmp_path: Path
) -> dict[str, Path]:
    """One valid file per format, by its name."""
    npz, mat = tmp_path / "recording.npz", tmp_path / "indy.mat"
    write_npz(recording, npz)
    write_odoherty(SubjectSettings(seed=3, population=PopulationSettings(n_channels=3)), 2.0, mat, n_units=2)
    rng = np.random.default_rng(5)
    times = 0.01 * np.arange(120)
    velocity = rng.standard_normal((120, 2))
    nwb = write_nwb(
        tmp_path / "session.nwb", [np.sort(rng.uniform(0, 1.2, 40))] * 2, [series("hand_vel", velocity, times)]
    )
    xdf = write_xdf(
        tmp_path / "session.xdf",
        stream(1, "Array", "spikes", times, rng.poisson(1.0, (120, 3)), 100.0),
        stream(2, "Hand", "kinematics", times, velocity, 100.0, "double64"),
    )
    return {
        "npz": npz,
        "stevenson": write_mat(),
        "odoherty": mat,
        "nwb": nwb,
        "xdf": xdf,
        "csv": write_csv(trial),
    }
