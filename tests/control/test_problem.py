"""Errors that no route raises itself."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from services.control.rest.paging import Page
from services.control.storage.store import Store


def test_unknown_path(client: TestClient) -> None:
    answer = client.get("/v1/session")
    assert answer.status_code == 404
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is nothing at /v1/session; /docs lists every path",
        "instance": "/v1/session",
    }


def test_method_that_a_path_does_not_have(client: TestClient) -> None:
    answer = client.put("/v1/decoders", json={})
    assert answer.status_code == 405
    assert answer.json()["detail"] == "PUT is not possible on /v1/decoders; allowed: GET, POST"
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b'{"name": "\\ud800"}', b"\xff"])
def test_body_that_is_not_an_object(client: TestClient, body: bytes) -> None:
    answer = client.post("/v1/sessions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_query_out_of_range(client: TestClient) -> None:
    answer = client.get("/v1/streams", params={"wait_s": 1000})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "query.wait_s"


def test_a_bug_shows_no_traceback(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Store, _page: Page) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Store, "decoder_page", broken)
    answer = client.get("/v1/decoders")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret detail" not in answer.text
    assert "RuntimeError" in answer.json()["detail"]


def test_every_operation_describes_its_errors(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert "ProblemDetail" in schema["components"]["schemas"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["responses"]["500"]["content"].keys() == {"application/problem+json"}
            assert "HTTPValidationError" not in str(operation)
