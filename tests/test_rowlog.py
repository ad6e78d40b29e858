from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.errors import BmiError, InputError
from services.rowlog import RowLogReader, RowLogWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.log"


def test_each_row_is_read_once(path: Path) -> None:
    writer = RowLogWriter(path, 3)
    reader = RowLogReader(path)
    assert reader.new_rows().shape == (0, 3)
    writer.append(1.0, 2.0, 3.0)
    writer.append(4.0, float("nan"), float("inf"))
    np.testing.assert_array_equal(reader.new_rows(), [[1, 2, 3], [4, np.nan, np.inf]])
    assert reader.new_rows().shape == (0, 3)
    writer.append(7.0, 8.0, 9.0)
    np.testing.assert_array_equal(reader.new_rows(), [[7, 8, 9]])
    assert writer.written == 3


def test_a_reader_that_comes_late_gets_what_is_there(path: Path) -> None:
    writer = RowLogWriter(path, 1)
    for k in range(5):
        writer.append(k)
    assert RowLogReader(path).new_rows()[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_wrap_around(path: Path) -> None:
    writer = RowLogWriter(path, 2, n_rows=8)
    reader = RowLogReader(path)
    rows = []
    for k in range(100):
        writer.append(k, -k)
        if k % 5 == 4:
            rows.append(reader.new_rows())
    np.testing.assert_array_equal(np.concatenate(rows), np.outer(np.arange(100), [1, -1]))


def test_a_reader_that_falls_behind_gets_the_newest(path: Path) -> None:
    writer = RowLogWriter(path, 1, n_rows=8)
    reader = RowLogReader(path)
    for k in range(20):
        writer.append(k)
    # One less than the ring holds: the oldest may be the one that is being overwritten.
    assert reader.new_rows()[:, 0].tolist() == [13, 14, 15, 16, 17, 18, 19]


def test_what_was_read_does_not_change_any_more(path: Path) -> None:
    writer = RowLogWriter(path, 1, n_rows=4)
    reader = RowLogReader(path)
    writer.append(1.0)
    rows = reader.new_rows()
    for _ in range(4):
        writer.append(2.0)
    assert rows.tolist() == [[1.0]]


@pytest.mark.parametrize("content", [b"", b"BMIROWS1", b"x" * 64, b"BMIROWS1" + bytes(range(200))])
def test_another_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.log is not a row log"):
        RowLogReader(path)


def test_truncated(path: Path) -> None:
    RowLogWriter(path, 2, n_rows=16)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match="is not a row log"):
        RowLogReader(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BmiError, match=r"cannot write .*rows\.log: No such file"):
        RowLogWriter(tmp_path / "missing" / "rows.log", 2)


WRITE = """
import sys
from pathlib import Path
from services.rowlog import RowLogWriter
writer = RowLogWriter(Path(sys.argv[1]), 4, n_rows=1024)
for k in range(300_000):
    writer.append(k, k, k, k)
"""


def test_a_reader_in_another_process_sees_whole_rows_in_order(path: Path) -> None:
    """The file is complete from the moment at which it appears."""
    writing = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], cwd=Path.cwd())
    try:
        while not path.exists():
            assert writing.poll() in (None, 0)
        reader = RowLogReader(path)
        last, ended = -1, False
        while not ended:
            ended = writing.poll() is not None
            rows = reader.new_rows()
            assert np.all(rows == rows[:, :1])
            assert np.all(np.diff(rows[:, 0]) == 1)
            if len(rows):
                assert rows[0, 0] > last
                last = int(rows[-1, 0])
        assert writing.returncode == 0
        assert last == 299_999
    finally:
        writing.kill()
        writing.wait()
