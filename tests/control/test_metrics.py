"""Prometheus metrics of a control plane, and what in deploy/ is built on them."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from bmi_decoder.events import HealthEvent, RecordingEvent
from services.control.metrics import collection
from services.control.metrics.collection import Metrics
from tests.control.conftest import OpenControl
from tests.control.test_supervision import running, session
from tests.waiting import eventually

__all__ = ["session"]
pytestmark = pytest.mark.system

_DEPLOY = Path(__file__).parents[2] / "deploy"


def samples(client: TestClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Values by metric, as a Prometheus parser reads them."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_a_running_session(client: TestClient, session: str) -> None:
    client.post(f"{session}/start")
    running(client, session)
    first, status, second = samples(client), client.get(session).json(), samples(client)
    mine = {"session": "m1"}
    received = [found["bmi_samples_received_total"][0][1] for found in (first, second)]
    assert received[0] <= status["bins_in"] <= received[1]
    assert ({**mine, "state": "running"}, 1.0) in first["bmi_session_state"]
    assert sum(value for _, value in first["bmi_session_state"]) == 1
    assert 0 <= first["bmi_sample_age_seconds"][0][1] < 5
    assert first["bmi_model_info"] == [({**mine, "decoder": status["decoder"], "revision": "1"}, 1.0)]
    # Both processes are on one machine, and so on one clock.
    assert eventually(lambda: samples(client).get("bmi_queue_depth"), bool)[0][0] == mine
    assert abs(samples(client)["bmi_clock_offset_seconds"][0][1]) < 0.01
    assert first["bmi_recording_alarms_total"] == [(mine, 0.0)]
    counted = [found["bmi_end_to_end_latency_seconds_count"][0][1] for found in (first, second)]
    assert 10 < counted[0] <= counted[1]
    assert {labels["stage"] for labels, _ in first["bmi_stage_duration_seconds_sum"]} == {
        "receive",
        "decode",
        "publish",
    }
    assert {labels["le"] for labels, _ in first["bmi_end_to_end_latency_seconds_bucket"]} >= {"0.00025", "0.05", "+Inf"}


def test_the_database_is_needed_for_jobs_alone(
    client: TestClient, session: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client.post(f"{session}/start")
    running(client, session)
    control = client.app.state.control  # type: ignore[attr-defined]

    def fail(*_: object) -> None:
        raise OperationalError("SELECT", None, OSError("no answer"))

    monkeypatch.setattr(control.job_store, "count", fail)
    monkeypatch.setattr(control.store, "decoder", fail)
    found = samples(client)
    assert found["bmi_end_to_end_latency_seconds_count"][0][1] > 10
    assert "bmi_jobs" not in found
    assert "no answer" in caplog.text


def test_flight_recorders_are_read_on_after_an_error(
    open_control: OpenControl, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reads = itertools.count()
    monkeypatch.setattr(collection, "_READ_S", 0.01)

    def fail(_: Metrics) -> None:
        raise OSError(f"read {next(reads)}")

    monkeypatch.setattr(Metrics, "_read", fail)
    with open_control():
        eventually(lambda: caplog.text, lambda text: "read 2" in text)


def test_an_alarm_counts_once(client: TestClient, session: str) -> None:
    events = client.app.state.control.events  # type: ignore[attr-defined]
    for state, message in (("armed", "disk full"), ("ended", "disk full"), ("recording", ""), ("armed", "disk full")):
        events.publish(RecordingEvent(session="m1", state=state, message=message, elapsed_s=0, size_bytes=0, file=None))
    events.publish(HealthEvent(session="m1", event="gap", details={}))
    found = eventually(lambda: samples(client), lambda found: "bmi_health_events_total" in found)
    assert found["bmi_recording_alarms_total"] == [({"session": "m1"}, 2.0)]


def test_what_is_in_deploy_names_only_metrics_that_exist(client: TestClient, session: str) -> None:
    client.post(f"{session}/start")
    running(client, session)
    existing = samples(client)
    # Where there has been no event yet, there is no sample of it.
    existing.setdefault("bmi_health_events_total", [])
    used = set()
    for file in (_DEPLOY / "grafana" / "bmi-decoder.json", _DEPLOY / "prometheus" / "alerts.yml"):
        used |= {name for name in re.findall(r"\bbmi_[a-z_]+", file.read_text())}
    assert len(used) > 15
    assert used - existing.keys() == set()


def test_the_dashboard_is_sound() -> None:
    dashboard = json.loads((_DEPLOY / "grafana" / "bmi-decoder.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_takes_the_rules() -> None:
    for what, file in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        subprocess.run(["promtool", "check", what, file], cwd=_DEPLOY / "prometheus", check=True)


def test_metrics_need_the_token(open_control: OpenControl) -> None:
    with open_control(token="0123456789abcdef") as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer 0123456789abcdef"}).status_code == 200
