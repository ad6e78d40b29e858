"""What happens to a reader process, as who started it sees it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from bmi_decoder.errors import BmiError, InputError, StreamMismatchError
from bmi_decoder.formats import read_odoherty, reader_process
from bmi_decoder.formats.reader_process import ReaderProcess
from tests.formats import readings
from tests.waiting import eventually

_DEADLINE_S = 60.0


@pytest.fixture(autouse=True)
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not here, for once."""
    monkeypatch.setattr(reader_process, "is_reader", False)


def test_a_recording_comes_back_as_it_is(tmp_path: Path) -> None:
    found, process = readings.recording(tmp_path)
    expected, _ = readings.recording.__wrapped__(tmp_path)
    assert process != os.getpid() and not psutil.pid_exists(process)
    assert found.fingerprint() == expected.fingerprint() and found.source == str(tmp_path)
    assert found.counts.dtype == np.uint8
    for array in (found.counts, found.kinematics):
        assert array.flags.aligned and array.flags.c_contiguous
        array[0] = 7
    assert (found.counts[0] == 7).all() and found.kinematics[0] == 7


def test_it_imports_no_torch_and_nothing_from_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h5py.py").write_text("raise SystemExit('not the library')")
    monkeypatch.chdir(tmp_path)
    assert "torch" not in readings.imported(tmp_path)
    damaged = tmp_path / "damaged.mat"
    damaged.write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(InputError, match="not an HDF5 file"):
        read_odoherty(damaged)


def test_errors_and_warnings_come_out_as_themselves(tmp_path: Path) -> None:
    with pytest.raises(StreamMismatchError) as refused:
        readings.refuse(tmp_path)
    assert str(refused.value) == f"{tmp_path}: of another shape"
    with pytest.raises(FileNotFoundError) as failed:
        readings.fail(tmp_path)
    assert failed.value.filename == str(tmp_path / "x")
    assert any("readings.py" in note for note in failed.value.__notes__)
    with pytest.warns(UserWarning, match="odd, but read"):
        assert readings.warn(tmp_path) == 3


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGSEGV, r"crashed on it \(SIGSEGV\), so the file is damaged"), (signal.SIGKILL, "memory runs out")],
)
def test_a_reader_that_ends_is_an_error(number: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: .*{said}"):
        readings.end(tmp_path, number)


def test_one_that_cannot_run_says_why(tmp_path: Path) -> None:
    for status in (3, 0):
        with pytest.raises(BmiError, match=f"ended with status {status} and no answer: no such library"):
            readings.leave(tmp_path, status)


def test_one_that_cannot_be_started_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    before = os.listdir("/proc/self/fd")
    with pytest.raises(BmiError, match=f"{tmp_path}: cannot start a process that reads it: .*no python"):
        readings.leave(tmp_path, 0)
    assert os.listdir("/proc/self/fd") == before


def test_memory_is_limited_by_the_size_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "small"
    file.write_bytes(bytes(1 << 20))
    assert readings.take(file, 1 << 30) == 1 << 30
    with pytest.raises(InputError, match=r"small: reading it takes more than the 1\.48 GiB .*cut the recording"):
        readings.take(file, 2 << 30)
    few = ReaderProcess(functools.partial(readings.take, file, 1 << 28), file, most_bytes=1 << 27)
    with pytest.raises(InputError, match=r"takes more than the 0\.125 GiB"):
        few.result()


def test_where_hdf5_runs_out_of_memory_the_file_is_not_only_called_damaged(tmp_path: Path) -> None:
    file, n_bytes = tmp_path / "sound.h5", 1 << 28
    with h5py.File(file, "w") as made:
        one_chunk = made.create_dataset("x", n_bytes, np.uint8, chunks=(n_bytes,), compression="gzip")
        one_chunk.id.write_direct_chunk((0,), zlib.compress(bytes(n_bytes), 1))
    assert readings.first(file) == 0
    few = ReaderProcess(functools.partial(readings.first, file), file, most_bytes=n_bytes)
    with pytest.raises(
        InputError, match=r"damaged or cut short, or larger than the 0\.25 GiB that its reader may take"
    ):
        few.result()


def test_time_is_limited(tmp_path: Path) -> None:
    reader = ReaderProcess(functools.partial(readings.hang, tmp_path / "pid"), tmp_path, longest_s=0.2)
    with pytest.raises(InputError, match=r"could not be read within 0\.2 s"):
        reader.result()
    assert reader._process.returncode == -signal.SIGKILL


def test_it_can_be_ended_from_another_thread(tmp_path: Path) -> None:
    reader = ReaderProcess(functools.partial(readings.hang, tmp_path / "pid"), tmp_path)
    ending = threading.Thread(target=lambda: (eventually((tmp_path / "pid").exists, bool, _DEADLINE_S), reader.kill()))
    ending.start()
    with pytest.raises(InputError, match="ended by SIGKILL"):
        reader.result()
    ending.join()


# A program that is started in the background inherits that SIGINT is ignored.
PARENT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.formats import readings

readings.hang(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_who_started_it(number: int, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    command = [sys.executable, "-c", PARENT, str(noted)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=_environment()) as parent:
        try:
            eventually(lambda: noted.exists() and noted.read_text(), bool, _DEADLINE_S)
            reader = psutil.Process(int(noted.read_text()))
            parent.send_signal(number)
            assert parent.wait(60) != 0
        finally:
            parent.kill()
    eventually(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE, bool, _DEADLINE_S)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
