from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from bmi_decoder.cli import main
from bmi_decoder.rest_models import RealtimeGrant
from bmi_decoder.wire import Flag
from services.worker.flight.layout import WorkerState
from services.worker.flight.reader import FlightReader
from services.worker.flight.writer import FlightWriter
from services.worker.flight_summary import STAGES, summarise

BIN_S = 0.01


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a worker that held bins 40 to 42, swapped at 60, and was slow to send 77."""
    path = tmp_path / "crash.flight"
    writer = FlightWriter(path, BIN_S, n_values=2, revision=1)
    for k in range(100):
        t = k * BIN_S
        flags = int(Flag.HELD) if 40 <= k < 43 else int(Flag.SWAPPED) if k == 60 else 0
        sent = 0.005 if k == 77 else 0.0004
        writer.record(
            k,
            k + 7,
            t,
            t + 0.0001,
            t + 0.0002,
            t + (0.002 if k == 20 else 0.0003),
            t + sent,
            flags,
            1 + (k >= 60),
            [k, -k],
        )
    writer.count(97, 100, 3, 0, 0, 99 * BIN_S)
    writer.set_endpoint("tcp://127.0.0.1:5555")
    writer.set_realtime([RealtimeGrant(option="priority", requested=5, granted=False, why="not permitted")])
    writer.set_state(WorkerState.failed, 2, "the disk of bundles is gone")
    writer.close()
    return path


def test_figures(path: Path) -> None:
    figures = summarise(FlightReader(path).records())
    assert figures["bins"] == 100
    assert figures["sequence"] == [0, 99]
    assert figures["seconds"] == pytest.approx(0.99)
    assert figures["latency_us"] == {"p50": 300, "p90": 300, "p99": 368, "p99.9": 1836.8, "max": 2000}
    assert list(figures["stages_us"]) == list(STAGES)
    assert [figures["stages_us"][stage]["p50"] for stage in STAGES] == pytest.approx([100, 100, 100, 100])
    assert figures["flags"] == {"held": 3, "swapped": 1}
    assert figures["revisions"] == [{"revision": 1, "from_sequence": 0}, {"revision": 2, "from_sequence": 60}]
    assert figures["gaps"] == [{"from_sequence": 40, "bins": 3}]
    slowest = figures["slowest"][0]
    assert slowest["sequence"] == 20
    assert slowest["stages_us"] == pytest.approx({"lsl": 100, "decode": 100, "pack": 1800, "send": -1600}, abs=0.1)


def test_a_gap_that_has_not_ended(path: Path) -> None:
    records = FlightReader(path).records()[:42]
    assert summarise(records)["gaps"] == [{"from_sequence": 40, "bins": 2}]
    held = summarise(records[40:])
    assert held["bins"] == 2 and "latency_us" not in held


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flight", str(path)]) == 0
    said = capsys.readouterr().out
    for part in (
        "failed, revision 2, tcp://127.0.0.1:5555",
        "the disk of bundles is gone",
        "97 in, 100 decoded, 3 lost",
        "not granted: priority 5: not permitted",
        "revision 2 from 60",
        "gap of 3 bins at 40",
        "20: 2000 us (pack 1800)",
    ):
        assert part in said


def test_json_and_arrays(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "records.npz"
    assert main(["flight", str(path), "--json", "-", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"]["state"] == "failed"
    assert found["latency_us"]["p50"] == 300
    with np.load(out) as arrays:
        assert arrays["bin_index"].tolist() == list(range(7, 107))
        np.testing.assert_array_equal(arrays["outputs"][:, 1], -np.arange(100))


def test_a_worker_that_died_before_its_first_bin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m1.flight"
    FlightWriter(path, BIN_S, 2, revision=1).count(0, 0, 0, 0, 0, math.nan)
    assert main(["flight", str(path)]) == 0
    said = capsys.readouterr().out
    assert "starting" in said and "no bin was published" in said


@pytest.mark.parametrize("content", [b"", b"BMIFLT01", b"BMIFLT02" + bytes(9000)])
def test_another_file(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert main(["flight", str(path)]) == 2
    assert f"{path} is not a complete flight recorder file" in capsys.readouterr().err
    assert main(["flight", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
