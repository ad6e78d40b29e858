from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.control.test_sessions import body


@pytest.fixture
def session(client: TestClient, decoder: str) -> str:
    client.post("/v1/sessions", json=body(decoder))
    return "/v1/sessions/m1"


def test_the_tag_names_the_configuration(client: TestClient, session: str) -> None:
    seen = client.get(session)
    tag = seen.headers["etag"]
    assert tag == seen.json()["etag"] == client.get(session).headers["etag"]
    changed = client.patch(session, json={"gap_policy": "zero"})
    assert changed.headers["etag"] == client.get(session).headers["etag"] != tag
    assert client.get("/v1/sessions").json()[0]["etag"] == changed.headers["etag"]
    again = client.patch(session, json={"gap_policy": "hold"}).headers["etag"]
    assert again == tag


def test_a_change_on_a_stale_tag_changes_nothing(client: TestClient, session: str) -> None:
    stale = {"If-Match": client.get(session).headers["etag"]}
    current = client.patch(session, json={"gap_policy": "zero"}, headers=stale).headers["etag"]
    for answer in (
        client.patch(session, json={"max_gap_s": 9}, headers=stale),
        client.post(f"{session}/rollback", headers=stale),
        client.delete(session, headers=stale),
    ):
        assert answer.status_code == 412, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["etag"] == current
    assert client.get(session).headers["etag"] == current


@pytest.mark.parametrize(
    ("condition", "status"), [("{}", 200), ("*", 200), ('"x", {}', 200), ("W/{}", 412), ('"x"', 412), ("", 412)]
)
def test_conditions(client: TestClient, session: str, condition: str, status: int) -> None:
    tag = client.get(session).headers["etag"]
    answer = client.patch(session, json={"gap_policy": "zero"}, headers={"If-Match": condition.format(tag)})
    assert answer.status_code == status


def test_a_session_made_anew_is_another(client: TestClient, session: str, decoder: str) -> None:
    tag = client.get(session).headers["etag"]
    assert client.delete(session, headers={"If-Match": tag}).status_code == 204
    client.post("/v1/sessions", json=body(decoder))
    assert client.delete(session, headers={"If-Match": tag}).status_code == 412


def test_a_new_revision_with_the_same_settings_is_another_configuration(
    client: TestClient, session: str, decoder: str, other_bundle: Path
) -> None:
    tag = client.get(session).headers["etag"]
    other = client.post("/v1/decoders", files={"file": other_bundle.read_bytes()}).json()["id"]
    client.patch(session, json={"decoder": other})
    assert client.patch(session, json={"decoder": decoder}).headers["etag"] != tag


def test_pages(client: TestClient, session: str, decoder: str, other_bundle: Path) -> None:
    other = client.post("/v1/decoders", files={"file": other_bundle.read_bytes()}).json()["id"]
    for chosen in (other, decoder):
        client.patch(session, json={"decoder": chosen})
    for path, key, expected in (
        ("/v1/decoders", "id", [decoder, other]),
        (f"{session}/revisions", "revision", [1, 2, 3]),
    ):
        found, following = [], f"{path}?limit=1"
        while following:
            answer = client.get(following)
            assert len(answer.json()) == 1
            found += [item[key] for item in answer.json()]
            following = answer.links.get("next", {}).get("url", "")
        assert found == expected
        assert "link" not in client.get(path).headers
    cursor = client.get("/v1/decoders?limit=1").links["next"]["url"].partition("?")[2]
    assert client.get(f"{session}/revisions?{cursor}").status_code == 422
    for bad in ("limit=0", "limit=1001", "limit=x", "cursor=%00", "cursor=W10=", "cursor=MTI="):
        assert client.get(f"/v1/decoders?{bad}").status_code == 422
    for text in ("\ud800", "\0"):
        bad = "cursor=" + base64.urlsafe_b64encode(json.dumps([text, "a"]).encode()).decode()
        assert client.get(f"/v1/decoders?{bad}").status_code == 422
