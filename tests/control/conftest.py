from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from services.control.app import create_app
from services.control.settings import ControlSettings
from services.control.storage.places import DataDirectory
from tests.control.support import N_CHANNELS, processes_of, write_linear_bundle
from tests.waiting import eventually

_ROOT = Path(__file__).parents[2]
OpenControl = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_linear_bundle(tmp_path_factory.mktemp("bundles") / "linear.bmi")


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_linear_bundle(tmp_path_factory.mktemp("bundles") / "other.bmi", gain=2.0)


@pytest.fixture
def control_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory; whatever still works on it after the test is ended."""
    monkeypatch.setenv("LSLAPICFG", str(_ROOT / "deploy" / "lsl" / "loopback.cfg"))
    monkeypatch.delenv("BMI_TOKEN", raising=False)
    path = tmp_path / "data"
    yield path
    for process in processes_of(path):
        process.kill()
    eventually(lambda: processes_of(path), lambda found: not found)
    flights = DataDirectory.create(path).flights if path.is_dir() else None
    if flights is not None:
        shutil.rmtree(flights)


@pytest.fixture
def open_control(control_dir: Path) -> OpenControl:
    """Open a control plane on the test's data directory, in this process."""

    def open_(**settings: Any) -> TestClient:
        app = create_app(ControlSettings(data_dir=control_dir, **settings))
        return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)

    return open_


@pytest.fixture
def client(open_control: OpenControl) -> Iterator[TestClient]:
    with open_control() as client:
        yield client


@pytest.fixture
def decoder(client: TestClient, bundle: Path) -> str:
    """Id of an uploaded decoder."""
    with bundle.open("rb") as file:
        answer = client.post("/v1/decoders", files={"file": ("linear.bmi", file)})
    assert answer.status_code == 201, answer.text
    decoder_id = answer.json()["id"]
    assert isinstance(decoder_id, str)
    return decoder_id


@pytest.fixture(scope="session")
def stream_name() -> Iterator[str]:
    """Name of an LSL stream that is live while the tests run."""
    name = f"control-{uuid4().hex[:8]}"
    environment = os.environ | {"LSLAPICFG": str(_ROOT / "deploy" / "lsl" / "loopback.cfg")}
    outlet = Path(__file__).with_name("outlet.py")
    process = subprocess.Popen([sys.executable, str(outlet), name, str(N_CHANNELS)], env=environment)
    yield name
    process.kill()
    process.wait()
