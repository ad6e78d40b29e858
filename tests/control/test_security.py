from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bmi_decoder.errors import InputError
from services.control.app import create_app
from services.control.settings import ControlSettings
from tests.control.conftest import OpenControl

TOKEN = "correct-horse-battery"


@pytest.fixture
def guarded(open_control: OpenControl) -> Iterator[TestClient]:
    with open_control(token=TOKEN) as client:
        yield client


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN]
)
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/decoders", "/v1/streams", "/v1/nothing", "/v1"])
def test_every_v1_path_needs_the_token(guarded: TestClient, header: str | None, path: str) -> None:
    answer = guarded.get(path, headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


def test_with_the_token(guarded: TestClient) -> None:
    assert guarded.get("/v1/sessions", headers={"Authorization": f"Bearer {TOKEN}"}).json() == []


def test_health_and_documentation_are_open(guarded: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert guarded.get(path).status_code == 200
    schema = guarded.get("/openapi.json").json()
    assert schema["paths"]["/v1/sessions"]["get"]["security"] == [{"HTTPBearer": []}]


@pytest.mark.parametrize("token", [None, "fifteen-letters"])
def test_other_machines_need_a_long_token(tmp_path: Path, token: str | None) -> None:
    with pytest.raises(InputError, match=r"\$BMI_TOKEN"):
        create_app(ControlSettings(data_dir=tmp_path, host="0.0.0.0", token=SecretStr(token) if token else None))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_loopback_names(client: TestClient, host: str) -> None:
    assert client.get("/v1/sessions", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[", "::1"])
def test_a_name_rebound_to_loopback_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/v1/sessions", headers={"Host": host}).status_code == 400


def test_a_foreign_page_changes_nothing(client: TestClient) -> None:
    foreign = client.post("/v1/sessions/m1/stop", headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    opaque = client.post("/v1/sessions/m1/stop", headers={"Origin": "null"})
    assert opaque.status_code == 403
    own = client.post("/v1/sessions/m1/stop", headers={"Origin": "http://127.0.0.1:8000"})
    assert own.status_code == 404
    assert "access-control-allow-origin" not in own.headers


def test_documentation_works_offline(client: TestClient) -> None:
    page = client.get("/docs")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/docs/static/")
        assert client.get(link).status_code == 200
    assert "http" not in page.text.replace("http://127.0.0.1", "")
