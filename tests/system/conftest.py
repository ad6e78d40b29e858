from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bmi_decoder.client import ControlClient
from tests.control.support import write_linear_bundle
from tests.system.support import CLI, Live, Program, command, processes_with

Spawn = Callable[..., Program]
Rig = Callable[..., Program]
Trained = Callable[..., Path]
StartSession = Callable[..., Live]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


@pytest.fixture
def stream_name() -> str:
    """A name that no other stream has."""
    return f"test-{uuid4().hex[:10]}"


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Start a sub-command of ``bmi-decoder``, or any module, that ends with the test."""
    programs: list[Program] = []

    def spawn_(*arguments: str | Path, module: str | None = None, **environment: str) -> Program:
        start = CLI if module is None else ("-m", module)
        log = tmp_path / f"program{len(programs)}.log"
        programs.append(Program([*start, *map(str, arguments)], log, environment))
        return programs[-1]

    yield spawn_
    for program in programs:
        program.end()
    for process in processes_with(tmp_path):
        process.kill()


@pytest.fixture
def rig(spawn: Spawn, stream_name: str) -> Rig:
    """Start a rig on this test's stream."""

    def rig_(source: str | Path, *options: str) -> Program:
        return spawn("rig", source, "--stream", stream_name, *options)

    return rig_


@dataclass
class Control:
    """A control plane as a process."""

    program: Program
    data_dir: Path
    client: ControlClient
    url: str

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        return [process.pid for process in processes_with(self.data_dir / "sessions")]

    def end(self) -> None:
        """Let it end in order: one that is killed leaves its folder in shared memory to the next."""
        self.client.close()
        self.program.process.terminate()
        self.program.wait(20)


def serve(program: Program, data_dir: Path) -> Control:
    """Wait for a control plane to come up."""
    found = re.search(r"http://\S+", program.wait_said("serving on"))
    assert found
    return Control(program, data_dir, ControlClient(found[0]), found[0])


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """One control plane for all tests that leave it alive."""
    folder = tmp_path_factory.mktemp("control")
    data_dir = folder / "data"
    program = Program([*CLI, "serve", "--port", "0", "--data-dir", str(data_dir)], folder / "serve.log")
    try:
        control = serve(program, data_dir)
        yield control
        control.end()
    finally:
        program.end()
        for process in processes_with(data_dir):
            process.kill()


@pytest.fixture
def start_session(control: Control, stream_name: str) -> Iterator[StartSession]:
    """Start sessions on this test's stream; they end with the test."""
    client, numbers = control.client, itertools.count()
    live: list[Live] = []
    names: list[str] = []

    def start(bundle: Path, **settings: Any) -> Live:
        name = f"{stream_name}-{next(numbers)}"
        stream, key = {"name": stream_name} | settings.pop("stream", {}), settings.pop("key", None)
        client.create_session(name, stream, client.upload_decoder(bundle).id, **settings)
        names.append(name)
        live.append(Live(client, name, stream_name, key))
        return live[-1]

    yield start
    for one in live:
        one.received.subscriber.close()
    for name in names:
        client.stop_session(name)
        client.delete_session(name)
    assert control.workers() == []


@pytest.fixture(scope="session")
def linear_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight channels, 4 ms bins, two outputs that each are the sum of the channels."""
    return write_linear_bundle(tmp_path_factory.mktemp("bundles") / "linear.bmi")


@pytest.fixture(scope="session")
def stevenson(data_dir: Path) -> Path:
    """196 channels, 12,428 bins of 50 ms."""
    return data_dir / "stevenson_m1" / "stevenson_m1_dev.mat"


@pytest.fixture(scope="session")
def trial(data_dir: Path) -> Path:
    """182 channels, 3,236 bins of 1 ms."""
    return data_dir / "mc_maze_trials" / "trial_748_data.csv"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Train a decoder for one epoch, once per test session for each choice of options."""
    folder = tmp_path_factory.mktemp("trained")
    bundles: dict[tuple[str, ...], Path] = {}

    def train(recording: Path, decoder: str, *options: str) -> Path:
        key = (str(recording), decoder, *options)
        if key not in bundles:
            path = folder / f"{len(bundles)}-{decoder}.bmi"
            few = ("--set", "epochs=1")
            status, said = command("train", recording, "--decoder", decoder, "--out", path, *few, *options)
            assert status == 0, said
            bundles[key] = path
        return bundles[key]

    return train
