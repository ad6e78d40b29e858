"""What becomes of a job's decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.control.clock import now
from services.control.storage.tables import JobRow
from tests.control.test_jobs import recording_file, upload

__all__ = ["recording_file"]

SESSION = {"name": "m1", "stream": {"name": "M1"}}


def add_job(client: TestClient, job_id: str, result: dict[str, Any] | None, **request: Any) -> None:
    """A job that was done, or failed."""
    row = JobRow(
        id=job_id,
        kind="calibrate",
        state="failed" if result is None else "done",
        request=request,
        result=result,
        created_at=now(),
    )
    client.app.state.control.job_store.add(row)  # type: ignore[attr-defined]


@pytest.fixture
def other(client: TestClient, other_bundle: Path) -> str:
    answer = client.post("/v1/decoders", files={"file": ("other.bmi", other_bundle.read_bytes())})
    return str(answer.json()["id"])


def test_deployed_to_the_session_that_it_was_asked_for(client: TestClient, decoder: str, other: str) -> None:
    assert client.post("/v1/sessions", json=SESSION | {"decoder": decoder}).status_code == 201
    add_job(client, "a", {"decoder": other}, session="m1")
    answer = client.post("/v1/jobs/a/deploy")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["decoder"], answer.json()["revision"]) == (other, 2)
    assert answer.headers["ETag"] == answer.json()["etag"]
    assert client.get("/v1/jobs/a").json()["result"]["deployed"] == {"session": "m1", "revision": 2}
    # What decodes is not discarded.
    answer = client.post("/v1/jobs/a/discard")
    assert answer.status_code == 409 and "m1" in answer.json()["detail"]
    assert client.get(f"/v1/decoders/{other}").status_code == 200


def test_deploying_to_what_is_not_there_or_was_changed(client: TestClient, decoder: str, other: str) -> None:
    add_job(client, "a", {"decoder": other})
    answer = client.post("/v1/jobs/a/deploy", json={})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "session"
    assert client.post("/v1/jobs/a/deploy", json={"session": "m1"}).status_code == 404
    assert client.post("/v1/jobs/none/deploy").status_code == 404
    client.post("/v1/sessions", json=SESSION | {"decoder": decoder})
    answer = client.post("/v1/jobs/a/deploy", json={"session": "m1"}, headers={"If-Match": '"another"'})
    assert answer.status_code == 412
    assert "deployed" not in client.get("/v1/jobs/a").json()["result"]
    add_job(client, "b", None, session="m1")
    answer = client.post("/v1/jobs/b/deploy")
    assert answer.status_code == 409 and answer.json()["allowed"] == ["done"]


def test_discarding_takes_decoder_and_data(
    client: TestClient, other: str, recording_file: Path, control_dir: Path
) -> None:
    recording = upload(client, recording_file).json()["id"]
    add_job(client, "a", {"decoder": other, "recording": recording})
    for _ in range(2):
        answer = client.post("/v1/jobs/a/discard")
        assert answer.status_code == 200
        assert answer.json()["result"]["discarded"] == [other, recording]
    assert list((control_dir / "recordings").iterdir()) == list((control_dir / "decoders").iterdir()) == []
    assert client.get("/v1/decoders").json() == client.get("/v1/recordings").json() == []
    assert client.post("/v1/jobs/a/deploy", json={"session": "m1"}).status_code == 409


def test_data_that_was_trained_on_since_is_kept(client: TestClient, other: str, recording_file: Path) -> None:
    recording = upload(client, recording_file).json()["id"]
    add_job(client, "a", {"decoder": other, "recording": recording})
    add_job(client, "b", {"decoder": "0123"}, recording=recording)
    assert client.post("/v1/jobs/a/discard").json()["result"]["discarded"] == [other]
    # The job that trained on it takes its own decoder only, which somebody else has deleted.
    assert client.post("/v1/jobs/b/discard").json()["result"]["discarded"] == []
    assert [one["id"] for one in client.get("/v1/recordings").json()] == [recording]
