from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pylsl
import pytest

from bmi_decoder.client import ControlClient
from bmi_decoder.rest_models import SessionStatus
from services.control.storage.places import DataDirectory
from services.processes import free_port, running
from tests.control.support import N_CHANNELS
from tests.faults.ledger import RESUMES_S, Ledger, Row
from tests.faults.watched import PuppetRig, Watched
from tests.system.conftest import Control, Spawn, control, linear_bundle, spawn, stream_name
from tests.system.support import Program
from tests.waiting import eventually

__all__ = ["control", "linear_bundle", "spawn", "stream_name"]

_LEDGER = Ledger()
Puppet = Callable[..., PuppetRig]
Report = Callable[..., None]


@dataclass
class Watch:
    """A session and who listens to it."""

    client: ControlClient
    name: str
    endpoint: str
    watched: Watched
    finished: bool = False

    @property
    def status(self) -> SessionStatus:
        return self.client.session(self.name)

    @property
    def pid(self) -> int:
        """Its worker."""
        pid = self.status.pid
        assert pid is not None
        return pid

    def finish(self) -> None:
        """End it, and check what came."""
        if not self.finished:
            self.finished = True
            self.watched.end()
            self.client.stop_session(self.name)
            self.client.delete_session(self.name)
            self.watched.check()


StartWatch = Callable[..., Watch]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


def pytest_sessionfinish() -> None:
    if (page := os.environ.get("BMI_FAULTS_PAGE")) and _LEDGER.rows:
        _LEDGER.write(Path(page))


@pytest.fixture
def report() -> Report:
    """Tell of a fault, and hold it against what was promised."""

    def report_(
        injected: str,
        lost: int,
        recovered_s: float | None = None,
        detected: tuple[float, str] | None = None,
        bar_s: float = RESUMES_S,
        remark: str = "",
    ) -> None:
        detected_s, detected_by = detected or (None, "")
        row = Row(injected, detected_s, detected_by, lost, recovered_s, remark)
        print(row)
        _LEDGER.rows.append(row)
        assert recovered_s is None or recovered_s < bar_s, row

    return report_


@pytest.fixture
def epoch() -> float:
    """Where the rigs' grid begins."""
    return round(pylsl.local_clock())


@pytest.fixture
def puppet(stream_name: str, epoch: float, tmp_path: Path) -> Iterator[Puppet]:
    """Start a rig that misbehaves on command; it ends with the test."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:

        def start(source_id: str = "rig", n_channels: int = N_CHANNELS) -> PuppetRig:
            name = f"puppet{next(numbers)}"
            log = tmp_path / name
            arguments = ["-m", "tests.faults.puppet", stream_name, source_id, str(n_channels), repr(epoch), str(log)]
            return PuppetRig(stack.enter_context(running(name, arguments, tmp_path)), log)

        yield start


@pytest.fixture
def watch(control: Control, stream_name: str, epoch: float, linear_bundle: Path) -> Iterator[StartWatch]:
    """Start a session with the linear decoder on this test's stream, and listen to it; what came is checked."""
    client, watches = control.client, list[Watch]()

    def start(plane: ControlClient | None = None, **settings: Any) -> Watch:
        at = plane or client
        name = f"{stream_name}-{len(watches)}"
        settings.setdefault("endpoint", f"tcp://127.0.0.1:{free_port()}")
        stream = {"name": stream_name, "search_timeout_s": None}
        at.create_session(name, stream, at.upload_decoder(linear_bundle).id, **settings)
        endpoint = at.start_session(name).endpoint
        watches.append(Watch(at, name, endpoint, Watched(endpoint, epoch)))
        assert watches[-1].watched.connected.wait(30)
        return watches[-1]

    yield start
    for one in watches:
        one.finish()
    assert control.workers() == []
    flights = DataDirectory.create(control.data_dir).flights
    assert flights is None or list(flights.iterdir()) == []


def recorder(spawn: Spawn, control: Control, session: str, folder: Path) -> Program:
    """A recorder that has found the session and its stream."""
    status = folder / "status.json"
    folder.mkdir(exist_ok=True)
    program = spawn("record", session, "--data-dir", control.data_dir, "--folder", folder, "--status", status)
    eventually(
        lambda: json.loads(status.read_text())["waiting_for"] if status.exists() else None, lambda names: names == []
    )
    return program
