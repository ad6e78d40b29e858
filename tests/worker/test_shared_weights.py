"""Workers with the same weights have them in memory once, whoever begins and ends in which order."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.bundle import read_bundle
from bmi_decoder.pipeline import Pipeline
from services.worker.shared_weights import share_weights
from tests.control.support import N_CHANNELS, write_linear_bundle

WEIGHTS = np.random.default_rng(0).standard_normal(5000).astype(np.float32)

USER = """
import sys
import numpy as np
from pathlib import Path
from services.worker.shared_weights import share_weights
weights = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
shared = share_weights(weights, Path(sys.argv[1]))
print(shared is not weights and not shared.flags.writeable, flush=True)
sys.stdin.read()
"""


def user(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "True\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.communicate()
    assert process.returncode == 0


def test_the_last_of_several_processes_removes_the_file(tmp_path: Path) -> None:
    first, second = user(tmp_path), user(tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == WEIGHTS.tobytes() and not file.stat().st_mode & 0o222
    end(first)
    assert list(tmp_path.iterdir()) == [file]
    end(second)
    assert not list(tmp_path.iterdir())


def test_pages_are_the_same(tmp_path: Path) -> None:
    other = user(tmp_path)
    shared = share_weights(WEIGHTS, tmp_path)
    (file,) = tmp_path.iterdir()
    mapped = {}
    for pid in (other.pid, os.getpid()):
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        mapped[pid] = [line.split()[3:5] for line in lines if line.endswith(file.name)]
    assert mapped[other.pid] == mapped[os.getpid()] and len(mapped[other.pid]) == 1
    np.testing.assert_array_equal(shared, WEIGHTS)
    end(other)


def test_what_a_killed_worker_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = user(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    shared = share_weights(WEIGHTS + 1, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() == shared.tobytes()
    del shared
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_many_that_begin_and_end_at_once(tmp_path: Path) -> None:
    wrong: list[object] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            weights = WEIGHTS + np.float32(rng.integers(2))
            shared = share_weights(weights, tmp_path)
            if shared is weights or not np.array_equal(shared, weights):
                wrong.append(shared)
            del shared

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not wrong and not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [20000, 19999, 0])
def test_a_file_that_was_changed_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int) -> None:
    keeper = user(tmp_path)
    (file,) = tmp_path.iterdir()
    file.chmod(0o600)
    file.write_bytes(bytes(size))
    assert share_weights(WEIGHTS, tmp_path) is WEIGHTS
    assert "has been changed" in capsys.readouterr().err
    end(keeper)


def test_where_nothing_can_be_written_everyone_has_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert share_weights(WEIGHTS, tmp_path / "not there") is WEIGHTS
    assert "not shared with other workers: [Errno 2]" in capsys.readouterr().err
    nothing = np.zeros(0, np.float32)
    assert share_weights(nothing, tmp_path) is nothing


def test_memory_that_cannot_be_mapped_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr("services.worker.shared_weights.mmap.mmap", refuse)
        assert share_weights(WEIGHTS, tmp_path) is WEIGHTS
    assert "not shared with other workers: [Errno 11]" in capsys.readouterr().err
    other = share_weights(WEIGHTS + 1, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1, "nobody holds the first one"
    np.testing.assert_array_equal(other, WEIGHTS + 1)


def test_a_pipeline_decodes_the_same_with_them(tmp_path: Path) -> None:
    bundle = read_bundle(write_linear_bundle(tmp_path / "linear.bmi"))
    counts = np.random.default_rng(1).poisson(1.0, (50, N_CHANNELS))
    keep = partial(share_weights, folder=tmp_path)
    expected, got = (Pipeline(bundle, keep_weights=one).run(counts) for one in (None, keep))
    np.testing.assert_array_equal(got, expected)
