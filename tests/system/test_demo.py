"""``bmi-decoder demo`` as a user or a script runs it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bmi_decoder.errors import InputError
from services.rowlog import RowLogReader
from tests.control.support import flight_of
from tests.system.conftest import Spawn
from tests.system.support import Program, processes_with
from tests.waiting import eventually


class Demo:
    """A running demo, with its temporary files below `folder`."""

    def __init__(self, spawn: Spawn, folder: Path, *options: str) -> None:
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.program: Program = spawn("demo", "--headless", *options, TMPDIR=str(self.folder))

    def wait_file(self, pattern: str) -> Path:
        """Wait until there is a file below the demo's directory."""

        def look() -> Path | None:
            assert self.program.process.poll() is None, self.program.said
            return next(self.folder.glob(f"bmi-decoder-demo-*/{pattern}"), None)

        found = eventually(look, lambda path: path is not None)
        assert found is not None
        return found

    def wait_estimates(self) -> None:
        """Wait until estimates have been received."""
        log = self.wait_file("estimates.log")

        def written() -> int:
            try:
                return len(RowLogReader(log).new_rows())
            except InputError:
                return 0

        eventually(written, lambda n: n > 100)

    def flight(self) -> Path:
        """The flight recorder of its worker."""
        return flight_of(self.wait_file("data/sessions/demo/worker.json").parents[2], "demo")

    def assert_gone(self, flight: Path | None = None) -> None:
        """No process, no file and nothing in shared memory is left."""
        assert [process.cmdline() for process in processes_with(self.folder)] == []
        assert list(self.folder.iterdir()) == []
        if flight is not None:
            assert not flight.parent.exists()


def checked(summary: dict[str, Any]) -> dict[str, Any]:
    """A demo's summary, with every documented key and every bin accounted for."""
    assert set(summary) == {
        *("bins_in", "bins_decoded", "bins_lost", "bins_duplicated"),
        *("r2", "latency_us", "decoder", "revision"),
    }
    assert set(summary["r2"]) == {"raw", "low_latency", "high_accuracy"}
    assert set(summary["latency_us"]) == {"p50", "p99", "p999"}
    assert summary["revision"] == 1
    assert (summary["bins_lost"], summary["bins_duplicated"]) == (0, 0)
    assert summary["bins_in"] == summary["bins_decoded"]
    return summary


def test_five_seconds(spawn: Spawn, tmp_path: Path) -> None:
    """Standard output is one JSON object and nothing else, so that it can be piped."""
    demo = Demo(spawn, tmp_path, "--seconds", "5", "--json", "-")
    flight = demo.flight()
    assert demo.program.wait() == 0, demo.program.said
    demo.assert_gone(flight)
    summary = checked(json.loads(demo.program.said))
    assert summary["bins_in"] > 1000
    assert all(0.4 < r2 < 1 for r2 in summary["r2"].values())
    latency = summary["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p999"]


def starting(demo: Demo) -> None:
    """Until its control plane is being started."""
    demo.wait_file("serve.log")


def connecting(demo: Demo) -> None:
    """Until its worker is there."""
    demo.flight()


def running(demo: Demo) -> None:
    demo.wait_estimates()


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (starting, signal.SIGTERM),
        (connecting, signal.SIGINT),
        (running, signal.SIGTERM),
    ],
)
def test_a_signal_ends_everything(
    moment: Callable[[Demo], None], number: signal.Signals, spawn: Spawn, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    demo = Demo(spawn, tmp_path, "--json", str(result))
    moment(demo)
    flight = demo.flight() if moment is running else None
    demo.program.process.send_signal(number)
    demo.program.process.send_signal(number)
    assert demo.program.wait() == 0, demo.program.said
    demo.assert_gone(flight)
    assert checked(json.loads(result.read_text()))["decoder"]
