from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.control.conftest import OpenControl


def body(decoder: str, **more: Any) -> dict[str, Any]:
    return {"name": "m1", "stream": {"name": "M1", "type": "spikes"}, "decoder": decoder, **more}


def test_create_with_defaults(client: TestClient, decoder: str) -> None:
    answer = client.post("/v1/sessions", json=body(decoder))
    assert answer.status_code == 201, answer.text
    status = answer.json()
    assert (status["name"], status["state"], status["revision"], status["wanted"]) == ("m1", "stopped", 1, False)
    assert status["variants"] == ["raw", "low_latency"]
    assert status["settings"]["gap_policy"] == "hold"
    assert status["latency_us"] is None
    assert client.get("/v1/sessions/m1").json() == status
    assert client.get("/v1/sessions").json() == [status]


def test_sessions_survive_a_restart(open_control: OpenControl, bundle: Path) -> None:
    with open_control() as client:
        decoder = client.post("/v1/decoders", files={"file": bundle.read_bytes()}).json()["id"]
        status = client.post("/v1/sessions", json=body(decoder)).json()
    with open_control() as client:
        assert client.get("/v1/sessions/m1").json() == status


def test_name_taken(client: TestClient, decoder: str) -> None:
    client.post("/v1/sessions", json=body(decoder))
    again = client.post("/v1/sessions", json=body(decoder))
    assert again.status_code == 409
    assert "'m1'" in again.json()["detail"]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"gap_polcy": "hold"}, "gap_polcy", "unknown field; allowed: name, stream, decoder"),
        ({"stream": {"name": "M1", "kind": "x"}}, "stream.kind", "allowed: name, type, source_id"),
        (
            {"output_filters": {"low_latency": {"cutoff_hz": 6, "cutoff": 1}}},
            "output_filters.low_latency.cutoff",
            "allowed: order, cutoff_hz, width, boundary",
        ),
        ({"gap_policy": "skip"}, "gap_policy", "'hold', 'zero' or 'reset', got 'skip'"),
        ({"decoder": "0123"}, "decoder", "no decoder '0123'; there is: "),
        ({"output_filters": {"low_latency": {"cutoff_hz": 125}}}, "output_filters.low_latency.cutoff_hz", "125 Hz"),
        (
            {"output_filters": {"high_accuracy": {"cutoff_hz": 6, "width": 8}}},
            "output_filters.high_accuracy.width",
            "at least 16 bins",
        ),
        (
            {"output_filters": {"high_accuracy": {"kind": "fir", "taps": [0.5, 0.5], "bin_s": 0.5}}},
            "output_filters.high_accuracy.bin_s",
            "must be the bin width of decoder",
        ),
        (
            {"output_filters": {"high_accuracy": {"kind": "fir", "tap": [0.5], "bin_s": 0.5}}},
            "output_filters.high_accuracy.taps",
            "required",
        ),
        ({"endpoint": "tcp://0.0.0.0:5555"}, "endpoint", "BMI_TOKEN"),
        ({"endpoint": "ipc:///tmp/x"}, "endpoint", "tcp://ADDRESS:PORT"),
        (
            {"masked_channels": [3, 8]},
            "masked_channels",
            "channel 8 cannot be masked: the decoder has 8 channels, 0 to 7",
        ),
        ({"masked_channels": list(range(8))}, "masked_channels", "all 8 channels are masked"),
        ({"masked_channels": [3, 3]}, "masked_channels", "channel 3 is named twice"),
        ({"masked_channels": [-1]}, "masked_channels.0", "greater than or equal to 0"),
        ({"stream": {}}, "stream.name", "required"),
        ({"name": "../../etc"}, "name", "match pattern"),
        ({"name": "a/b"}, "name", "match pattern"),
        ({"name": ".."}, "name", "match pattern"),
        ({"name": "m1\n"}, "name", "match pattern"),
    ],
)
def test_bad_value(client: TestClient, decoder: str, change: dict[str, Any], field: str, words: str) -> None:
    answer = client.post("/v1/sessions", json=body(decoder) | change)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["errors"][0]["field"] == field
    assert words in problem["detail"]
    assert client.get("/v1/sessions").json() == []


def off_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on workers show their streams to the lab."""
    monkeypatch.setenv("LSLAPICFG", str(Path(os.environ["LSLAPICFG"]).with_name("lab.cfg")))


def test_estimates_over_lsl_without_a_token(client: TestClient, decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on = body(decoder, lsl_outlets=True)
    assert client.post("/v1/sessions", json=on | {"name": "here"}).json()["settings"]["lsl_outlets"] is True
    off_loopback(monkeypatch)
    refused = client.post("/v1/sessions", json=on)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "lsl_outlets" and "--lsl loopback" in refused.json()["detail"]


def test_estimates_over_lsl_with_a_token(
    open_control: OpenControl, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "0123456789abcdef"
    with open_control(token=token) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        decoder = client.post("/v1/decoders", files={"file": bundle.read_bytes()}).json()["id"]
        off_loopback(monkeypatch)
        assert client.post("/v1/sessions", json=body(decoder, lsl_outlets=True)).status_code == 201


def test_endpoint_off_loopback_with_a_token(open_control: OpenControl, bundle: Path) -> None:
    token = "0123456789abcdef"
    with open_control(token=token) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        decoder = client.post("/v1/decoders", files={"file": bundle.read_bytes()}).json()["id"]
        answer = client.post("/v1/sessions", json=body(decoder, endpoint="tcp://0.0.0.0:5555"))
        assert answer.status_code == 201


def test_unknown_session_says_which_there_are(client: TestClient, decoder: str) -> None:
    client.post("/v1/sessions", json=body(decoder))
    for method, path in (
        ("GET", "/v1/sessions/m2"),
        ("POST", "/v1/sessions/m2/start"),
        ("POST", "/v1/sessions/m2/stop"),
        ("DELETE", "/v1/sessions/m2"),
        ("GET", "/v1/sessions/%2e%2e"),
        ("DELETE", "/v1/sessions/..%2f..%2fdecoders"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 404, (path, answer.text)
    patched = client.patch("/v1/sessions/m2", json={})
    assert patched.json()["detail"] == "no session 'm2'; there is: m1"
    assert patched.json()["existing"] == ["m1"]


def test_change_counts_revisions_of_what_decodes(client: TestClient, decoder: str, other_bundle: Path) -> None:
    client.post("/v1/sessions", json=body(decoder))
    assert client.patch("/v1/sessions/m1", json={"gap_policy": "zero"}).json()["revision"] == 1
    other = client.post("/v1/decoders", files={"file": other_bundle.read_bytes()}).json()["id"]
    changed = client.patch("/v1/sessions/m1", json={"decoder": other, "output_filters": {}}).json()
    assert (changed["decoder"], changed["revision"], changed["variants"]) == (other, 2, ["raw"])
    assert changed["settings"]["gap_policy"] == "zero"
    back = client.patch("/v1/sessions/m1", json={"output_filters": None}).json()
    assert back["variants"] == ["raw", "low_latency"]
    masked = client.patch("/v1/sessions/m1", json={"masked_channels": [5, 2]}).json()
    assert (masked["revision"], masked["settings"]["masked_channels"]) == (4, [2, 5])
    assert client.patch("/v1/sessions/m1", json={"masked_channels": [2, 5]}).json()["revision"] == 4
    revisions = client.get("/v1/sessions/m1/revisions").json()
    assert [row["masked_channels"] for row in revisions] == [[], [], [], [2, 5]]
    undone = client.post("/v1/sessions/m1/rollback").json()
    assert (undone["revision"], undone["settings"]["masked_channels"]) == (3, [])
    assert client.delete(f"/v1/decoders/{decoder}").status_code == 204
    assert client.delete(f"/v1/decoders/{other}").status_code == 409


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "m2"}, "name"),
        ({"decoder": "nope"}, "decoder"),
        ({"decoder": None}, "decoder"),
        ({"max_gap_s": -1}, "max_gap_s"),
        ({"endpoint": "tcp://0.0.0.0:1"}, "endpoint"),
        ({"output_filters": {"low_latency": {"cutoff_hz": 500}}}, "output_filters.low_latency.cutoff_hz"),
        ({"masked_channels": [8]}, "masked_channels"),
        ({"masked_channels": None}, "masked_channels"),
    ],
)
def test_bad_change_changes_nothing(client: TestClient, decoder: str, change: dict[str, Any], field: str) -> None:
    before = client.post("/v1/sessions", json=body(decoder)).json()
    answer = client.patch("/v1/sessions/m1", json=change)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
    assert client.get("/v1/sessions/m1").json() == before


def test_delete(client: TestClient, decoder: str) -> None:
    client.post("/v1/sessions", json=body(decoder))
    assert client.delete("/v1/sessions/m1").status_code == 204
    assert client.delete("/v1/sessions/m1").status_code == 404
    assert client.post("/v1/sessions", json=body(decoder)).status_code == 201
