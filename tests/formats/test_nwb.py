"""NWB files that pynwb wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import read_nwb
from bmi_decoder.recording import Output
from tests.formats.nwb_writer import position, series, write_nwb

RNG = np.random.default_rng(8)
TIMES = 5.0 + 0.01 * np.arange(300)
VELOCITY = RNG.standard_normal((300, 2))
SPIKES = [np.sort(RNG.uniform(4.5, 8.5, n)) for n in (200, 50, 1)]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(behaviour: Any = None, observed: Any = None, spikes: Any = SPIKES) -> Path:
        chosen = [series("hand_vel", VELOCITY, TIMES)] if behaviour is None else behaviour
        return write_nwb(tmp_path / "session.nwb", spikes, chosen, observed)

    return write


def _counts(begin: float, width: float, n_bins: int) -> np.ndarray:
    """Spikes per bin, spike by spike."""
    counts = np.zeros((n_bins, len(SPIKES)), int)
    for unit, times in enumerate(SPIKES):
        for time in times:
            bins = np.floor(round((time - begin) / width, 9))
            if 0 <= bins < n_bins:
                counts[int(bins), unit] += 1
    return counts


def test_bins_on_the_clock_of_the_behaviour(write: Write) -> None:
    recording = read_nwb(write())
    assert np.array_equal(recording.counts, _counts(5.0, 0.01, 300))
    assert np.array_equal(recording.kinematics, VELOCITY)
    assert (recording.bin_s, recording.t0, recording.spans) == (0.01, 5.0, ((0, 300),))
    assert recording.labels == ("unit_1000", "unit_1001", "unit_1002")
    assert recording.outputs == (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))


def test_wider_bins(write: Write) -> None:
    recording = read_nwb(write(), bin_s=0.07)
    assert np.array_equal(recording.counts, _counts(5.0, 0.07, 42))
    assert np.allclose(recording.kinematics, VELOCITY[:294].reshape(42, 7, 2).mean(axis=1))


def test_a_series_with_a_rate_and_a_conversion(write: Write) -> None:
    recording = read_nwb(write([series("finger_vel", VELOCITY, 5.0, rate=100.0, conversion=0.001)]))
    assert np.allclose(recording.kinematics, VELOCITY / 1000)
    assert np.array_equal(recording.counts, _counts(5.0, 0.01, 300))


def test_nan_and_gaps_end_segments_and_are_never_filled(write: Write) -> None:
    velocity, times = VELOCITY.copy(), TIMES.copy()
    velocity[100:110, 1] = np.nan
    times[200:] += 0.5
    times[250] = np.nan
    recording = read_nwb(write([series("hand_vel", velocity, times)]))
    assert recording.spans == ((0, 100), (100, 190), (190, 240), (240, 289))
    rows = np.r_[0:100, 110:200, 200:250, 251:300]
    assert np.array_equal(recording.kinematics, VELOCITY[rows])
    assert np.array_equal(recording.counts[190:240], _counts(times[200], 0.01, 50))
    wide = read_nwb(write([series("hand_vel", velocity, times)]), bin_s=0.08)
    assert wide.spans == ((0, 12), (12, 23), (23, 29), (29, 35))
    assert np.array_equal(wide.counts[12:23], _counts(times[110], 0.08, 11))


def test_only_what_was_observed_for_every_unit_is_kept(write: Write) -> None:
    observed = [[[5.0, 6.0], [6.0, 7.0]], [[5.5, 7.5]], [[4.0, 6.2], [6.3, 9.0]]]
    recording = read_nwb(write(observed=observed))
    assert recording.spans == ((0, 70), (70, 140))
    assert (recording.t0, recording.n_bins) == (pytest.approx(5.5), 140)
    assert np.array_equal(recording.kinematics, VELOCITY[np.r_[50:120, 130:200]])


def test_the_series_is_chosen_by_name(write: Write) -> None:
    behaviour = [
        series("hand_vel", VELOCITY, TIMES),
        series("cursor_vel", 2 * VELOCITY, TIMES),
        position("hand", VELOCITY, TIMES),
        series("pupil", VELOCITY[:, 0], TIMES),
    ]
    path = write(behaviour)
    with pytest.raises(
        InputError, match=r"more than one velocity; choose .*: Position/hand .*cursor_vel \(300, 2\) m/s"
    ):
        read_nwb(path)
    with pytest.raises(InputError, match=r"no series 'hand_pos'; the file has .*hand_vel"):
        read_nwb(path, series="hand_pos")
    assert np.array_equal(read_nwb(path, series="cursor_vel").kinematics, 2 * VELOCITY)
    assert read_nwb(path, series="hand").outputs[0] == Output("x_position", "meters")
    assert read_nwb(path, series="pupil").outputs == (Output("pupil", "m/s"),)
    with pytest.raises(InputError, match="no velocity; choose a series by its name: pupil"):
        read_nwb(write([series("pupil", VELOCITY[:, 0], TIMES)]))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"spikes": []}, "no units table with spike_times"),
        ({"behaviour": []}, r"no series in processing\['behavior'\]"),
        ({"behaviour": [series("hand_vel", VELOCITY, TIMES[::-1])]}, "time must be finite and increase"),
        ({"behaviour": [series("hand_vel", np.full((300, 2), np.nan), TIMES)]}, "no stretch with behaviour"),
        ({"observed": [[[0.0, 1.0]]] * 3}, "no stretch with behaviour and spikes"),
    ],
)
def test_a_malformed_file_is_refused(given: dict[str, Any], reason: str, write: Write) -> None:
    with pytest.raises(InputError, match=f"session.nwb: .*{reason}"):
        read_nwb(write(**given))


def test_bins_that_do_not_fit_the_samples_are_refused(write: Write) -> None:
    with pytest.raises(InputError, match=r"bins of 0\.025 s cannot be made from bins of 0\.01 s"):
        read_nwb(write(), bin_s=0.025)


def test_numbers_in_another_file_are_not_followed(write: Write, tmp_path: Path) -> None:
    path = write()
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = VELOCITY
    with h5py.File(path, "r+") as file:
        del file["processing/behavior/hand_vel/timestamps"]
        file["processing/behavior/hand_vel/timestamps"] = h5py.ExternalLink("other.h5", "/data")
    with pytest.raises(InputError, match=r"session\.nwb: "):
        read_nwb(path)


def test_hdf5_that_is_not_nwb(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.nwb", "w") as file:
        file["spikes"] = [1.0]
    with pytest.raises(InputError, match=r"not NWB \(it has no nwb_version"):
        read_nwb(tmp_path / "plain.nwb")


def test_without_the_extra(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write()
    monkeypatch.setattr("bmi_decoder.formats.extra.find_spec", lambda name: None)
    with pytest.raises(BmiError, match=r"pynwb is needed: pip install 'bmi-decoder\[formats\]'"):
        read_nwb(path)
