from __future__ import annotations

import math
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.clock import lsl_clock
from bmi_decoder.config import RealtimeSettings
from bmi_decoder.errors import BmiError, InputError
from bmi_decoder.rest_models import RealtimeGrant
from bmi_decoder.stream_health import ChannelHealth, StreamHealth
from bmi_decoder.wire import Flag
from services.worker.flight.layout import (
    COUNTERS_AT,
    HEADER_SIZE,
    REALTIME_AT,
    STATE_AT,
    STREAM_AT,
    WorkerState,
    record_dtype,
)
from services.worker.flight.reader import FlightReader
from services.worker.flight.status import WorkerStatus
from services.worker.flight.writer import FlightWriter

BIN_S, N_VALUES = 0.5, 4
N_RECORDS = 120


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m1.flight"


@pytest.fixture
def writer(path: Path) -> FlightWriter:
    return FlightWriter(path, BIN_S, N_VALUES, revision=3, n_channels=7)


def record(writer: FlightWriter, k: int, latency_s: float = 0.0, flags: int = 0) -> None:
    """Store record `k`, in which every field tells which record it is of."""
    writer.record(k, k, k, k, k, k + latency_s, k, flags, 1, [float(k)] * N_VALUES)


def test_round_trip(writer: FlightWriter, path: Path) -> None:
    writer.record(7, -2, 1.5, 2.5, 3.5, 4.5, 5.5, 9, 3, [1.0, -2.0, math.inf, 0.25])
    writer.set_endpoint("tcp://127.0.0.1:5555", "key")
    writer.set_inlet(-0.25, 3)
    writer.set_state(WorkerState.running, 4, "all is well: µ")
    writer.count(10, 9, 8, 7, 6, lsl_clock())
    grants = [RealtimeGrant(option="priority", requested=5, granted=False, why="not permitted: µ")]
    writer.set_realtime(grants)
    writer.set_channels(np.array([0, 1, 2, 12, 0, 1, 8], np.uint8))
    writer.set_stream("late", lsl_clock() - 2, 0.25, (1, 2, 3, 4, 5))
    reader = FlightReader(path)
    status = reader.status()
    assert status.last_bin_age_s is not None and 0 <= status.last_bin_age_s < 60
    assert status == WorkerStatus(
        state="running",
        message="all is well: µ",
        endpoint="tcp://127.0.0.1:5555",
        server_key="key",
        clock_offset_s=-0.25,
        samples_waiting=3,
        pid=os.getpid(),
        revision=4,
        bins_in=10,
        bins_decoded=9,
        bins_lost=8,
        bins_duplicated=7,
        bins_invalid=6,
        last_bin_age_s=status.last_bin_age_s,
        realtime=[grants[0].model_dump()],
        stream=StreamHealth(
            state="late", for_s=status.stream.for_s, lag_s=0.25, gaps=1, lates=2, losses=3, clock_jumps=4, mismatches=5
        ),
        channels=ChannelHealth(silent=[1, 5], stuck=[2], drifting=[3], masked=[3, 6]),
    )
    assert 2 <= status.stream.for_s < 60
    (found,) = reader.records()
    assert found.tolist()[:9] == (7, -2, 1.5, 2.5, 3.5, 4.5, 5.5, 9, 3)
    np.testing.assert_array_equal(found["outputs"], np.array([1.0, -2.0, math.inf, 0.25], np.float32))


def test_before_the_first_bin(writer: FlightWriter, path: Path) -> None:
    reader = FlightReader(path)
    status = reader.status()
    assert (status.state, status.revision, status.message, status.endpoint) == ("starting", 3, "", "")
    assert status.last_bin_age_s is None
    assert len(reader.records()) == 0
    assert reader.latency_us() is None


def test_a_minute_is_kept(writer: FlightWriter, path: Path) -> None:
    assert path.stat().st_size == HEADER_SIZE + N_RECORDS * record_dtype(N_VALUES).itemsize + 7
    reader = FlightReader(path)
    for k in range(50):
        record(writer, k)
    assert reader.records()["sequence"].tolist() == list(range(50))
    for k in range(50, 1000):
        record(writer, k)
    # One less than the ring holds: the oldest may be the one that is being overwritten.
    assert reader.records()["sequence"].tolist() == list(range(1000 - N_RECORDS + 1, 1000))


def test_narrow_bins_have_more_records_and_wide_ones_a_few(tmp_path: Path) -> None:
    for bin_s, n_records in ((0.004, 15_000), (10.0, 64)):
        path = tmp_path / str(bin_s)
        FlightWriter(path, bin_s, 1, 1)
        assert path.stat().st_size == HEADER_SIZE + n_records * record_dtype(1).itemsize


def test_all_of_it_is_in_memory_and_on_the_disk_before_the_first_bin(path: Path) -> None:
    """A page that a bin is the first to touch costs that bin time, and looks like a leak for a minute."""
    kept = FlightWriter(path, 0.001, N_VALUES, 1)
    size = path.stat().st_size
    assert size > 60_000 * N_VALUES * 4
    assert 512 * path.stat().st_blocks >= size
    maps = Path("/proc/self/smaps").read_text()
    resident_kb = re.search(rf"{path}\n(?:.*\n)*?Rss: +(\d+) kB", maps)
    assert resident_kb is not None and 1024 * int(resident_kb[1]) >= size
    kept.close()


def test_a_worker_that_cannot_begin_leaves_its_reason_in_a_small_one(path: Path) -> None:
    FlightWriter(path, 1.0, 0, 2).set_state(WorkerState.failed, 2, "no such bundle")
    status = FlightReader(path).status()
    assert (status.state, status.message, status.revision) == ("failed", "no such bundle", 2)


def test_a_disk_without_room_is_one_clear_error(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(BmiError, match="cannot write the flight recorder"):
            FlightWriter(path, 0.001, N_VALUES, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(path.parent.iterdir()) == []


def test_latency_leaves_filled_bins_out(writer: FlightWriter, path: Path) -> None:
    latencies_us = np.random.default_rng(3).uniform(100, 900, 100)
    for k, latency_us in enumerate(latencies_us):
        record(writer, k, latency_us * 1e-6, Flag.WARM_UP)
    for k, flag in enumerate((Flag.HELD, Flag.ZEROED, Flag.HELD | Flag.INVALID)):
        record(writer, 100 + k, 5.0, flag)
    latency = FlightReader(path).latency_us()
    assert latency is not None
    for name, percent in (("p50", 50), ("p99", 99), ("p999", 99.9)):
        assert latency[name] == pytest.approx(np.percentile(latencies_us, percent), abs=0.1)


def test_only_filled_bins_have_no_latency(writer: FlightWriter, path: Path) -> None:
    record(writer, 0, 1.0, Flag.HELD)
    assert FlightReader(path).latency_us() is None


def test_a_long_message_is_cut_and_a_short_one_leaves_no_rest(writer: FlightWriter, path: Path) -> None:
    reader = FlightReader(path)
    writer.set_state(WorkerState.failed, 1, "x" * 10_000)
    assert set(reader.status().message) == {"x"}
    writer.set_state(WorkerState.failed, 1, "short")
    assert reader.status().message == "short"
    assert reader.status().endpoint == ""


def test_a_new_writer_leaves_the_old_file_to_its_readers(writer: FlightWriter, path: Path) -> None:
    record(writer, 5)
    old = FlightReader(path)
    record(FlightWriter(path, BIN_S, N_VALUES, 1), 6)
    assert old.records()["sequence"].tolist() == [5]
    assert FlightReader(path).records()["sequence"].tolist() == [6]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("size", [0, 10, 28, HEADER_SIZE, HEADER_SIZE + 1000])
def test_truncated_file(writer: FlightWriter, path: Path, size: int, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match="not a complete flight recorder"):
        FlightReader(cut)


@pytest.mark.parametrize(
    ("at", "words", "said"),
    [
        (STATE_AT, b"\x05\0\0\0", "ValueError"),
        (STREAM_AT, b"\xff\0\0\0", "IndexError"),
        (REALTIME_AT, b"[" * 1500, "Error"),
        (REALTIME_AT, b"7", "TypeError"),
        (REALTIME_AT, b"[7]", "valid"),
        (REALTIME_AT, b"\x01", "JSONDecodeError"),
    ],
)
def test_words_that_no_worker_writes(writer: FlightWriter, path: Path, at: int, words: bytes, said: str) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(words)
    with pytest.raises(InputError, match=f"m1.flight is damaged: .*{said}") as caught:
        FlightReader(path).status()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("written", [1 << 63, (1 << 64) - 1])
def test_more_records_than_there_can_be(writer: FlightWriter, path: Path, written: int) -> None:
    with open(path, "r+b") as file:
        file.seek(COUNTERS_AT)
        file.write(written.to_bytes(8, "little"))
    with pytest.raises(InputError, match=f"m1.flight is damaged: it says that it has had {written} records"):
        FlightReader(path).records()


def test_another_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 100)
    with pytest.raises(InputError, match="not a complete flight recorder"):
        FlightReader(tmp_path / "noise")
    with pytest.raises(FileNotFoundError):
        FlightReader(path)


WRITE = """
import sys
from pathlib import Path
from services.worker.flight.layout import WorkerState
from services.worker.flight.writer import FlightWriter
writer = FlightWriter(Path(sys.argv[1]), 0.5, 4, 1)
sys.stdout.write("up\\n")
sys.stdout.flush()
for k in range(int(sys.argv[2])):
    writer.record(k, k, k, k, k, k, k, k % 64, 1, [float(k % 65536)] * 4)
    if k % int(sys.argv[3]) == 0:
        writer.count(k, k, k, k, k, k)
writer.set_state(WorkerState.stopped, 1)
"""


@pytest.mark.parametrize("burst", [1, 100])
def test_a_reader_never_sees_a_torn_record(path: Path, burst: int) -> None:
    """The writer stores `burst` records before it publishes its counters, as it does when it fills a gap."""
    writing = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), "200000", str(burst)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    try:
        assert writing.stdout is not None and writing.stdout.readline() == b"up\n"
        reader = FlightReader(path)
        n_read = 0
        while reader.status().state != "stopped":
            assert writing.poll() in (None, 0)
            records = reader.records()
            n_read += len(records)
            sequence = records["sequence"].astype(np.int64)
            assert np.all(np.diff(sequence) == 1)
            for name in ("bin_index", "t_source", "t_pulled", "t_decoded", "t_publish", "t_sent"):
                np.testing.assert_array_equal(records[name], sequence)
            np.testing.assert_array_equal(records["flags"], sequence % 64)
            np.testing.assert_array_equal(records["outputs"], np.tile((sequence % 65536)[:, None], (1, N_VALUES)))
        assert n_read
        assert reader.records()["sequence"][-1] == 199_999
    finally:
        writing.kill()
        writing.communicate()


def test_the_clock_is_that_of_lsl() -> None:
    import pylsl

    before, now, after = lsl_clock(), pylsl.local_clock(), lsl_clock()
    assert before - 1e-6 <= now <= after + 1e-6


def test_the_longest_answer_about_rights_is_whole(writer: FlightWriter, path: Path) -> None:
    """Every processor that can be named, and a long reason for each refusal."""
    cpus = RealtimeSettings(cpus=tuple(range(1000, 1128))).cpus
    options = {"cpus": cpus, "priority": 99, "lock_memory": True}
    writer.set_realtime(
        [RealtimeGrant(option=name, requested=value, granted=False, why="x" * 120) for name, value in options.items()]
    )
    assert [grant["option"] for grant in FlightReader(path).status().realtime] == list(options)
