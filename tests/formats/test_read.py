"""Choice of the reader."""

import shutil
from pathlib import Path

import h5py
import pytest

from bmi_decoder.errors import InputError
from bmi_decoder.formats import FORMATS, Format, read_recording


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_every_format_is_read(known: Format, samples: dict[str, Path]) -> None:
    expected = known.read(samples[known.name])
    assert read_recording(str(samples[known.name])).fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("name", ["npz", "stevenson", "odoherty", "nwb", "xdf"])
def test_content_decides_before_the_name(name: str, samples: dict[str, Path], tmp_path: Path) -> None:
    misnamed = shutil.copy(samples[name], tmp_path / "download.csv")
    assert read_recording(misnamed).fingerprint() == read_recording(samples[name]).fingerprint()


def test_hdf5_of_matlab_without_its_header_is_told_by_the_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "session.mat", "w") as file:
        file["t"] = [0.0]
    with pytest.raises(
        InputError, match="'spikes' is missing; this layout needs spikes, cursor_pos, t, the file has t"
    ):
        read_recording(tmp_path / "session.mat")


def test_wider_bins(samples: dict[str, Path]) -> None:
    for name in ("nwb", "odoherty"):
        narrow, wide = read_recording(samples[name]), read_recording(samples[name], 0.02)
        assert wide.bin_s == pytest.approx(0.02)
        assert wide.duration_s == pytest.approx(narrow.duration_s, abs=0.02)


def test_a_choice_that_the_format_has_not_is_refused(samples: dict[str, Path]) -> None:
    assert read_recording(samples["csv"], series=None).n_channels == 2
    with pytest.raises(InputError, match=r"trial\.csv: 'series' is a choice for nwb, not for a file of format csv"):
        read_recording(samples["csv"], series="hand_vel")


def test_an_upper_case_suffix_is_known(samples: dict[str, Path], tmp_path: Path) -> None:
    assert read_recording(shutil.copy(samples["csv"], tmp_path / "TRIAL.CSV")).n_channels == 2


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"notes.txt: unknown recording format; known are \.npz .*\.mat .*\.csv"):
        read_recording(tmp_path / "notes.txt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.npz: there is no such file"):
        read_recording(tmp_path / "nothing.npz")


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    for name, reason in [
        ("a.mat", "not a MATLAB v5 file"),
        ("a.npz", "not an .npz"),
        ("a.csv", "'timestamp' is missing"),
    ]:
        (tmp_path / name).write_text("hello,world\n1,2\n")
        with pytest.raises(InputError, match=reason):
            read_recording(tmp_path / name)
