"""Choice of the reader."""

import shutil
from pathlib import Path

import pytest

from bmi_decoder.errors import InputError
from bmi_decoder.formats import FORMATS, read_recording


@pytest.mark.parametrize("suffix", [known.suffix for known in FORMATS])
def test_every_format_is_read(suffix: str, samples: dict[str, Path]) -> None:
    expected = next(known.read for known in FORMATS if known.suffix == suffix)(samples[suffix])
    assert read_recording(str(samples[suffix])).fingerprint() == expected.fingerprint()


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_content_decides_before_the_name(suffix: str, samples: dict[str, Path], tmp_path: Path) -> None:
    misnamed = shutil.copy(samples[suffix], tmp_path / "download.csv")
    assert read_recording(misnamed).fingerprint() == read_recording(samples[suffix]).fingerprint()


def test_an_upper_case_suffix_is_known(samples: dict[str, Path], tmp_path: Path) -> None:
    assert read_recording(shutil.copy(samples[".csv"], tmp_path / "TRIAL.CSV")).n_channels == 2


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
