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
from tests.system.support import Program, eventually, processes_with


class Demo:
    """A running demo, with its temporary files below `folder`."""

    def __init__(self, spawn: Spawn, folder: Path, *options: str) -> None:
        self.folder = folder / "temporary"
        self.folder.mkdir()
        self.result = folder / "result.json"
        self.program: Program = spawn(
            *("demo", "--headless", "--json", str(self.result)), *options, TMPDIR=str(self.folder)
        )

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

    def summary(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.result.read_text())
        assert set(value) == {
            *("bins_in", "bins_decoded", "bins_lost", "bins_duplicated"),
            *("r2", "latency_us", "decoder", "revision"),
        }
        assert set(value["r2"]) == {"raw", "low_latency", "high_accuracy"}
        assert set(value["latency_us"]) == {"p50", "p99", "p999"}
        assert value["revision"] == 1
        assert (value["bins_lost"], value["bins_duplicated"]) == (0, 0)
        assert value["bins_in"] == value["bins_decoded"]
        return value


def test_five_seconds(spawn: Spawn, tmp_path: Path) -> None:
    demo = Demo(spawn, tmp_path, "--seconds", "5")
    flight = demo.flight()
    assert demo.program.wait() == 0, demo.program.said
    demo.assert_gone(flight)
    summary = demo.summary()
    assert summary["bins_in"] > 1000
    assert all(0.4 < r2 < 1 for r2 in summary["r2"].values())
    latency = summary["latency_us"]
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p999"]


def test_to_standard_output(spawn: Spawn, tmp_path: Path) -> None:
    """One JSON object and nothing else, so that it can be piped."""
    program = spawn("demo", "--headless", "--seconds", "0.5", "--json", "-")
    assert program.wait() == 0
    assert json.loads(program.said)["bins_lost"] == 0


def starting(demo: Demo) -> None:
    """Until its control plane is being started."""
    demo.wait_file("serve.log")


def connecting(demo: Demo) -> None:
    """Until its worker is there."""
    demo.flight()


def running(demo: Demo) -> None:
    demo.wait_estimates()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [starting, connecting, running])
def test_a_signal_ends_everything(
    number: signal.Signals, moment: Callable[[Demo], None], spawn: Spawn, tmp_path: Path
) -> None:
    demo = Demo(spawn, tmp_path)
    moment(demo)
    flight = demo.flight() if moment is running else None
    demo.program.process.send_signal(number)
    demo.program.process.send_signal(number)
    assert demo.program.wait() == 0, demo.program.said
    demo.assert_gone(flight)
    assert demo.summary()["decoder"]
