"""Recordings and jobs over REST."""

from __future__ import annotations

import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from bmi_decoder.bundle import read_bundle
from bmi_decoder.client import ControlError
from bmi_decoder.formats import write_npz
from bmi_decoder.pipeline import Pipeline
from bmi_decoder.recording import Output, Recording
from services.control.jobs import training_stage
from tests.control.conftest import OpenControl
from tests.control.support import processes_of
from tests.control.test_serve import Serve, serve
from tests.formats.recorded import write_recorded_session
from tests.waiting import eventually

__all__ = ["serve"]
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def recording_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of channels that follow a movement."""
    rng = np.random.default_rng(0)
    velocity = np.cumsum(rng.normal(size=(1500, 2)), axis=0) / 40
    rates = np.exp(0.5 * velocity @ rng.normal(size=(2, 8)))
    outputs = (Output("x_velocity", "m/s"), Output("y_velocity", "m/s"))
    path = tmp_path_factory.mktemp("recordings") / "session.npz"
    write_npz(Recording(rng.poisson(np.clip(rates, 0, 20)), velocity, outputs, 0.004), path)
    return path


def upload(client: TestClient, path: Path, name: str | None = None) -> Any:
    return client.post("/v1/recordings", files={"file": (name or path.name, path.read_bytes())})


def test_a_recording_from_upload_to_deletion(client: TestClient, recording_file: Path, control_dir: Path) -> None:
    answer = upload(client, recording_file)
    assert answer.status_code == 201, answer.text
    info = answer.json()
    assert (info["format"], info["n_channels"], info["n_bins"], info["bin_s"]) == ("npz", 8, 1500, 0.004)
    assert info["outputs"][0] == {"name": "x_velocity", "unit": "m/s"}
    assert upload(client, recording_file, "again.npz").json() == info
    assert client.get("/v1/recordings").json() == [info]
    detail = client.get(f"/v1/recordings/{info['id']}").json()
    assert len(detail["inspection"]["recording"]["channels"]) == 8
    assert str(control_dir) not in str(detail)
    assert client.get(f"/v1/recordings/{info['id']}/file").content == recording_file.read_bytes()
    assert client.delete(f"/v1/recordings/{info['id']}").status_code == 204
    assert client.get(f"/v1/recordings/{info['id']}").status_code == 404
    assert list((control_dir / "recordings").iterdir()) == list((control_dir / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.npz", b"nothing", "x.npz"),
        ("x.txt", b"nothing", "must end with one of"),
        ("../../etc/x", b"nothing", "must end with one of"),
        ("", b"nothing", "must end with one of"),
    ],
)
def test_what_is_no_recording_is_refused(
    client: TestClient, control_dir: Path, name: str, content: bytes, words: str
) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n\r\n' + content
    ) + b"\r\n--b--\r\n"
    answer = client.post("/v1/recordings", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert str(control_dir) not in answer.text
    assert list((control_dir / "recordings").iterdir()) == list((control_dir / "uploads").iterdir()) == []


def test_too_large_a_recording(open_control: OpenControl, recording_file: Path) -> None:
    with open_control(max_recording_bytes=1000) as client:
        assert upload(client, recording_file).status_code == 413


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"recording": "0123"}, "recording"),
        ({"decoder": "nope"}, "decoder"),
        ({"init_from": "0123"}, "init_from"),
        ({"kind": "cook"}, "kind"),
        ({"epochs": 3}, "epochs"),
        ({"overrides": {"hidden": [1]}}, "overrides.hidden.bool"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_jobs(client: TestClient, recording_file: Path, change: dict[str, Any], field: str) -> None:
    recording = upload(client, recording_file).json()["id"]
    body = {"kind": "train", "recording": recording, "decoder": "wiener"} | change
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert client.get("/v1/jobs").json() == []
    assert client.get("/v1/jobs/0123").status_code == client.post("/v1/jobs/0123/cancel").status_code == 404


def test_without_the_training_extra(client: TestClient, recording_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_stage, "find_spec", lambda name: None)
    answer = client.post("/v1/jobs", json={"kind": "train", "recording": "0123", "decoder": "wiener"})
    assert answer.status_code == 501
    assert "pip install 'bmi-decoder[train]'" in answer.json()["detail"]


@pytest.mark.skipif(find_spec("torch") is None, reason="needs the training extra")
def test_a_decoder_trained_by_a_job_can_be_used(serve: Serve, recording_file: Path, control_dir: Path) -> None:
    server = serve()
    client = server.client
    recording = client.upload_recording(recording_file)
    jobs = [client.train(recording.id, "wiener") for _ in range(3)]
    assert [job.id for job in client.jobs()] == [job.id for job in reversed(jobs)]
    done = eventually(lambda: client.job(jobs[0].id), lambda job: job.state not in ("queued", "running"), 90)
    assert (done.state, done.error) == ("done", None)
    decoder = client.decoder(done.result["decoder"])
    assert (decoder.decoder, decoder.n_channels) == ("wiener", 8)
    assert done.result["metrics"] == decoder.metrics
    assert client.create_session("m1", "M1", decoder.id).decoder == decoder.id

    eventually(lambda: client.job(jobs[1].id).state, lambda state: state == "running")
    server.end(signal.SIGKILL)
    client = serve().client
    assert client.job(jobs[1].id).state == "failed"
    assert client.cancel_job(jobs[2].id).state == "cancelled"
    assert len(processes_of(control_dir)) == 1
    assert list((control_dir / "jobs").iterdir()) == []
    client.delete_recording(recording.id)


def test_a_recorded_session_is_exported_stored_and_can_be_read(
    serve: Serve, recording_file: Path, bundle: Path, tmp_path: Path
) -> None:
    pynwb = pytest.importorskip("pynwb")
    recorded = write_recorded_session(tmp_path, bundle, Pipeline(read_bundle(bundle)))
    named = recorded.rename(tmp_path / "sub-P01_ses-01_task-reach_run-001_neural.xdf")
    client = serve().client
    stored = client.upload_recording(named)
    job = client.export_recording(stored.id, species="Macaca mulatta", age="P6Y")
    job = eventually(lambda: client.job(job.id), lambda job: job.state not in ("queued", "running"), 60)
    assert job.error is None and job.result is not None
    exported = client.recording(job.result["recording"])
    assert exported.file_name == "sub-P01_ses-01_task-reach_run-001_neural.nwb"
    assert (exported.n_bins, exported.n_channels, exported.outputs) == (
        stored.n_bins, stored.n_channels, stored.outputs,
    )  # fmt: skip
    client.download_recording(exported.id, tmp_path / "back.nwb")
    with pynwb.NWBHDF5IO(tmp_path / "back.nwb", "r") as file:
        subject = file.read().subject
        assert (subject.subject_id, subject.species, subject.age) == ("P01", "Macaca mulatta", "P6Y")
    with pytest.raises(ControlError, match="'export' and has made no decoder"):
        client.deploy_job(job.id, "m1")
    assert client.discard_job(job.id).result == {"recording": exported.id, "discarded": [exported.id]}
    with pytest.raises(ControlError, match=r"is a \.npz file"):
        client.export_recording(client.upload_recording(recording_file).id)
