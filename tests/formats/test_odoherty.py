"""The reader of O'Doherty and Sabes sessions against a plain implementation of the published steps."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.formats import read_odoherty, read_recording
from bmi_decoder.recording import Output
from bmi_decoder.simulation import PopulationSettings, SubjectSettings, write_odoherty

Change = Callable[[h5py.File], None]


@pytest.fixture
def session(tmp_path: Path) -> Path:
    path = tmp_path / "indy_20160622_01.mat"
    settings = SubjectSettings(seed=3, population=PopulationSettings(n_channels=7, baseline_median_hz=20.0))
    write_odoherty(settings, 8.0, path, n_units=4)
    return path


def _published_steps(path: Path, sorting: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """NeuroBench's loader, step by step: histogram, upper edge, 0 or 1, units merged, gradient per sample."""
    with h5py.File(path) as file:
        time = np.squeeze(file["t"][()])
        edges = np.arange(time[0] - 0.004, time[-1], 0.004)
        units = np.zeros((*file["spikes"].shape, len(edges)), np.int8)
        for unit in range(units.shape[0]):
            for channel in range(units.shape[1]):
                cell = file[file["spikes"][unit, channel]]
                if "MATLAB_empty" not in cell.attrs:
                    histogram, _ = np.histogram(cell[()], bins=edges)
                    units[unit, channel, np.nonzero(histogram)[0] + 1] = 1
        velocity = np.gradient(file["cursor_pos"][()], axis=1)
    if sorting:
        flat = np.transpose(units, (2, 1, 0)).reshape(len(edges), -1)
        return flat[: len(time), flat.any(axis=0)], velocity.T
    return np.bitwise_or.reduce(units, axis=0)[:, : len(time)].T, velocity.T


@pytest.mark.parametrize("sorting", [False, True])
def test_the_published_steps(sorting: bool, session: Path) -> None:
    recording = read_odoherty(session, spike_sorting=sorting)
    counts, per_sample = _published_steps(session, sorting)
    assert counts.sum() > 500
    assert np.array_equal(recording.counts, counts)
    assert np.allclose(recording.kinematics, 250 * per_sample, rtol=1e-12, atol=0)
    assert recording.outputs == (Output("x_velocity", "mm/s"), Output("y_velocity", "mm/s"))
    assert (recording.bin_s, recording.spans) == (0.004, ((0, 2000),))


def test_the_clock_of_the_bins(session: Path) -> None:
    """A row holds the spikes in [t[k-2], t[k-1]), so bin 0 begins 8 ms before the first sample."""
    with h5py.File(session, "r+") as file:
        file[file["spikes"][0, 0]][...] = 100.0405
        file["spikes"][1:, 0] = file["spikes"][0, 0]
    recording = read_odoherty(session)
    (row,) = np.flatnonzero(recording.counts[:, 0])
    begins = recording.t0 + 0.004 * row
    assert recording.t0 == pytest.approx(100.0 - 0.008)
    assert begins <= 100.0405 < begins + 0.004


def test_channels_have_the_names_of_the_file(session: Path) -> None:
    assert read_odoherty(session).labels[:2] == ("SIM 001", "SIM 002")
    assert read_odoherty(session, spike_sorting=True).labels[0] == "SIM 001 u0"
    with h5py.File(session, "r+") as file:
        del file["chan_names"]
    assert read_odoherty(session).labels[:2] == ("ch0", "ch1")


def test_an_empty_cell_holds_no_spike_at_its_dimensions(session: Path) -> None:
    """MATLAB writes an empty cell as (0, 0), which would be two spikes at 0 s in a session that begins there."""
    with h5py.File(session, "r+") as file:
        file["t"][...] -= 100.0
        empty = file.create_dataset("#refs#/none", data=np.zeros(2, np.uint64))
        empty.attrs["MATLAB_empty"] = np.uint8(1)
        file["spikes"][:, 2] = empty.ref
    assert not read_odoherty(session).counts[:, 2].any()


def test_wider_bins_are_sums_that_do_not_overlap(session: Path) -> None:
    narrow, wide = read_odoherty(session), read_recording(session, 0.028)
    assert np.array_equal(wide.counts, narrow.counts[:1995].reshape(-1, 7, 7).sum(axis=1))


def test_a_gap_in_time_is_a_segment_with_a_grid_of_its_own(session: Path) -> None:
    with h5py.File(session, "r+") as file:
        file["t"][0, 700:] += 0.3
    recording = read_odoherty(session)
    assert recording.spans == ((0, 700), (700, 2000))
    with h5py.File(session) as file:
        position = file["cursor_pos"][()]
        late = file["t"][0, 700]
        fired = file[file["spikes"][0, 1]][()].ravel()
    assert np.allclose(recording.kinematics[700], 250 * (position[:, 701] - position[:, 700]))
    assert recording.counts[702, 1] <= np.any((fired >= late) & (fired < late + 0.004))


def _set(name: str, value: np.ndarray) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


def _drift(file: h5py.File) -> None:
    file["t"][0] = 100 + 0.00401 * np.arange(2000)


def _external(file: h5py.File) -> None:
    del file["cursor_pos"]
    file["cursor_pos"] = h5py.ExternalLink("elsewhere.h5", "/secret")


def _other_place(file: h5py.File) -> None:
    del file["cursor_pos"]
    file.create_dataset("cursor_pos", (2, 2000), "f8", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _bomb(file: h5py.File) -> None:
    del file["t"], file["cursor_pos"]
    file.create_dataset("t", (1, 1 << 40), "f8", chunks=(1, 1024))
    file.create_dataset("cursor_pos", (2, 1 << 40), "f8", chunks=(2, 1024))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: file.pop("spikes"), "variable 'spikes' is missing; this layout needs .* the file has #refs#"),
        (_set("t", np.zeros((2, 2000))), r"t must be a row of at least two times, got shape \(2, 2000\)"),
        (_set("t", np.zeros((1, 2000))), "t: time must be finite and increase, got 0.0 after 0.0 at bin 1"),
        (_set("t", np.arange(2000.0)[None]), r"t: the bin width is 0.004 s, but time advances by 1 s"),
        (_drift, "t must advance by 4 ms, but leaves that grid by 0.02 s"),
        (_set("cursor_pos", np.zeros((2, 1999))), r"cursor_pos must be \(2, 2000\)"),
        (_set("cursor_pos", np.full((2, 2000), np.nan)), ".*kinematics must be finite"),
        (_set("cursor_pos", np.zeros((2, 2000), "S3")), "cursor_pos must hold real numbers"),
        (_set("spikes", np.zeros((2, 3))), r"spikes must be a \(units, channels\) cell array"),
        (_external, "cursor_pos is a link to elsewhere"),
        (_other_place, "cursor_pos keeps its numbers in another file"),
        (_bomb, "cursor_pos declares 17592186044416 bytes, allowed are"),
    ],
)
def test_a_malformed_session_is_refused(change: Change, reason: str, session: Path) -> None:
    with h5py.File(session, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=f"indy_20160622_01.mat: {reason}"):
        read_odoherty(session)


def test_without_the_extra(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bmi_decoder.formats.extra.find_spec", lambda name: None)
    with pytest.raises(BmiError, match=r"h5py is needed: pip install 'bmi-decoder\[formats\]'") as caught:
        read_odoherty(session)
    assert not isinstance(caught.value, InputError)
