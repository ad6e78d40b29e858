from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from bmi_decoder.cli import main
from bmi_decoder.errors import InputError
from services.control.access.tokens import TokenFile, scope_of, tokens_path
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


def test_scopes(open_control: OpenControl, control_dir: Path) -> None:
    with open_control() as client:
        assert client.get("/v1/sessions").status_code == 200
        file = TokenFile(tokens_path(control_dir))
        control, read = file.add("rig", "control"), file.add("display", "read")
        # A token that is added counts from the next request on.
        assert client.get("/v1/sessions").status_code == 401
        may = {"read": {"Authorization": f"Bearer {read}"}, "control": {"Authorization": f"Bearer {control}"}}
        assert client.get("/v1/sessions", headers=may["read"]).status_code == 200
        assert client.get("/metrics", headers=may["read"]).status_code == 200
        for method, path in (
            ("POST", "/v1/sessions/m1/stop"),
            ("PATCH", "/v1/sessions/m1"),
            ("DELETE", "/v1/decoders/x"),
        ):
            refused = client.request(method, path, headers=may["read"])
            assert refused.status_code == 403
            assert "scope control" in refused.json()["detail"]
            assert client.request(method, path, json={}, headers=may["control"]).status_code == 404
        file.remove("rig")
        assert client.get("/v1/sessions", headers=may["control"]).status_code == 401
        assert control not in tokens_path(control_dir).read_text()
        assert stat.S_IMODE(tokens_path(control_dir).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damaged", ["[{", "{}", '[{"name": "a", "scope": "Read", "sha256": "00", "created_at": ""}]', '[{"name": "a"}]']
)
def test_a_damaged_file_of_tokens_lets_nobody_in(open_control: OpenControl, control_dir: Path, damaged: str) -> None:
    with open_control() as client:
        tokens_path(control_dir).write_text(damaged)
        answer = client.get("/v1/sessions")
        assert answer.status_code == 503
        assert "tokens.json" in answer.json()["detail"]


def test_the_token_command(control_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def token(*arguments: str) -> int:
        return main(["token", *arguments, "--data-dir", str(control_dir)])

    assert token("add", "display", "--scope", "read") == 0
    secret = capsys.readouterr().out.strip()
    assert scope_of(secret, TokenFile(tokens_path(control_dir)).tokens()) == "read"
    assert token("add", "display") == 2
    assert token("list") == 0
    assert capsys.readouterr().out.startswith("display  read  ")
    shared = create_app(ControlSettings(data_dir=control_dir, host="0.0.0.0"))
    assert token("remove", "display") == 0
    assert token("remove", "display") == 2
    assert token("list") == 0
    assert capsys.readouterr().out == ""
    with TestClient(shared) as client:
        assert client.get("/v1/sessions").status_code == 401


def test_tokens_that_are_added_at_once_are_all_there(control_dir: Path) -> None:
    control_dir.mkdir()
    path = tokens_path(control_dir)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: TokenFile(path).add(f"t{k}", "read"), range(24)))
        assert len(TokenFile(path).tokens()) == 24
        list(pool.map(lambda k: TokenFile(path).remove(f"t{k}"), range(23)))
    assert [token.name for token in TokenFile(path).tokens()] == ["t23"]


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
