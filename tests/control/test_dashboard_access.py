from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from services.control.access.tokens import TokenFile, tokens_path
from tests.control.conftest import OpenControl

TOKEN = "correct-horse-battery"
HTML = {"Accept": "text/html"}


@pytest.fixture
def guarded(open_control: OpenControl) -> Iterator[TestClient]:
    with open_control(token=TOKEN) as client:
        client.follow_redirects = False
        yield client


def test_a_page_asks_for_the_token(guarded: TestClient) -> None:
    answer = guarded.get("/dashboard/sessions/m1", headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/login?after=%2Fdashboard%2Fsessions%2Fm1"
    asked = guarded.get(answer.headers["location"])
    assert asked.status_code == 200
    assert 'value="/dashboard/sessions/m1"' in asked.text


@pytest.mark.parametrize("path", ["/dashboard/", "/dashboard/static/session.js", "/dashboard/_nicegui_ws/socket.io/"])
def test_nothing_behind_it_is_served_without(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 401


def test_nor_the_websocket(guarded: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("/dashboard/sessions/m1/live"):
        pass


def test_a_wrong_token_is_refused(guarded: TestClient) -> None:
    answer = guarded.post("/dashboard/login", data={"token": "wrong"})
    assert answer.status_code == 401
    assert "not a token" in answer.text
    assert "set-cookie" not in answer.headers


def test_who_has_signed_in_may_use_pages_and_rest(guarded: TestClient) -> None:
    answer = guarded.post("/dashboard/login", data={"token": TOKEN, "after": "/dashboard/sessions/m1"})
    assert answer.headers["location"] == "/dashboard/sessions/m1"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert guarded.get("/v1/sessions").json() == []
    assert guarded.get("/v1/sessions", headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize("after", ["https://evil.example/", "//evil.example/dashboard/", "/docs", "/dashboard/\\x", ""])
def test_it_leads_nowhere_else(guarded: TestClient, after: str) -> None:
    answer = guarded.post("/dashboard/login", data={"token": TOKEN, "after": after})
    assert answer.headers["location"] == "/dashboard/"


def test_pages_of_other_sites_get_nothing(client: TestClient) -> None:
    foreign = {"Origin": "http://evil.example"}
    assert client.get("/dashboard/_nicegui_ws/socket.io/", headers=foreign).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/dashboard/sessions/m1/live", headers=foreign),
    ):
        pass


def test_nothing_of_it_is_loaded_before_a_page_is_asked_for(client: TestClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert "services.dashboard.application" not in sys.modules


def test_a_token_that_may_only_look_opens_pages_and_changes_nothing(guarded: TestClient, control_dir: Path) -> None:
    reader = TokenFile(tokens_path(control_dir)).add("reader", "read")
    assert guarded.post("/dashboard/login", data={"token": reader}).status_code == 303
    assert guarded.get("/v1/sessions").status_code == 200
    assert guarded.post("/v1/sessions/m1/start").status_code == 403
