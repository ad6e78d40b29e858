"""The contract suite finds readers that break it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from bmi_decoder.errors import InputError
from bmi_decoder.formats import check_reader, read_npz
from bmi_decoder.recording import Output, Recording


def test_a_reader_that_lets_other_errors_through_fails(samples: dict[str, Path]) -> None:
    def read(path: Path | str) -> Recording:
        if not Path(path).exists():
            raise FileNotFoundError(path)
        return read_npz(path)

    with pytest.raises(AssertionError, match="must raise InputError, got FileNotFoundError"):
        check_reader(read, samples["npz"])


def test_a_reader_that_accepts_noise_fails(samples: dict[str, Path], recording: Recording) -> None:
    with pytest.raises(AssertionError, match="missing must raise InputError"):
        check_reader(lambda path: recording, samples["npz"])


def test_a_reader_that_changes_the_file_fails(samples: dict[str, Path]) -> None:
    def read(path: Path | str) -> Recording:
        recording = read_npz(path)
        with open(path, "ab") as file:
            file.write(b" ")
        return recording

    with pytest.raises(AssertionError, match="must not change the file"):
        check_reader(read, samples["npz"])


def test_a_reader_that_does_not_repeat_itself_fails(samples: dict[str, Path]) -> None:
    calls = count()
    with pytest.raises(AssertionError, match="reading twice"):
        check_reader(lambda path: replace(read_npz(path), t0=float(next(calls))), samples["npz"])


def test_an_error_that_does_not_name_the_file_fails(samples: dict[str, Path]) -> None:
    def read(path: Path | str) -> Recording:
        try:
            return read_npz(path)
        except InputError as error:
            raise InputError("bad file") from error

    with pytest.raises(AssertionError, match="must name the file"):
        check_reader(read, samples["npz"])


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        (lambda r: replace(r, source=""), "source"),
        (lambda r: replace(r, channels=("a", "a", "b")), "labels must differ"),
        (lambda r: replace(r, outputs=(Output("x", "m"), Output("x", "m"))), "different names"),
        (lambda r: replace(r, outputs=(Output("x", ""), Output("y", "m"))), "unit"),
        (lambda r: replace(r, kinematics=r.kinematics[:, ::-1]), "contiguous"),
    ],
)
def test_an_unsound_recording_fails(
    change: Callable[[Recording], Recording], breach: str, samples: dict[str, Path]
) -> None:
    with pytest.raises(AssertionError, match=breach):
        check_reader(lambda path: change(read_npz(path)), samples["npz"])
