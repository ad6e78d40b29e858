from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from bmi_decoder.rest_models import DecoderDetail
from tests.control.conftest import OpenControl


def upload(client: TestClient, data: bytes, name: str = "a.bmi") -> httpx.Response:
    return client.post("/v1/decoders", files={"file": (name, data)})


def left_over(control_dir: Path) -> list[str]:
    return [path.name for folder in ("uploads", "decoders") for path in (control_dir / folder).iterdir()]


def test_upload_answers_what_a_script_needs(client: TestClient, bundle: Path) -> None:
    answer = upload(client, bundle.read_bytes())
    assert answer.status_code == 201
    body = answer.json()
    assert body["id"] == hashlib.sha256(bundle.read_bytes()).hexdigest()[:16]
    assert (body["decoder"], body["n_channels"], body["bin_s"]) == ("linear", 8, 0.004)
    assert body["outputs"] == [{"name": "x_velocity", "unit": "m/s"}, {"name": "y_velocity", "unit": "m/s"}]


def test_same_content_again_is_the_same_decoder(client: TestClient, bundle: Path, control_dir: Path) -> None:
    first, second = upload(client, bundle.read_bytes()), upload(client, bundle.read_bytes(), "b.bmi")
    assert second.status_code == 201
    assert first.json() == second.json()
    assert client.get("/v1/decoders").json() == [first.json()]
    assert left_over(control_dir) == [f"{first.json()['id']}.bmi"]


def test_detail_and_download(client: TestClient, decoder: str, bundle: Path) -> None:
    detail = DecoderDetail.model_validate_json(client.get(f"/v1/decoders/{decoder}").content)
    assert detail.metrics == {"r2": 0.7}
    assert detail.output_filters.low_latency is not None
    assert detail.manifest["schema_version"] == 1
    answer = client.get(f"/v1/decoders/{decoder}/file")
    assert answer.content == bundle.read_bytes()
    assert answer.headers["content-type"] == "application/zip"


def test_decoders_survive_a_restart(open_control: OpenControl, bundle: Path) -> None:
    with open_control() as client:
        decoder = upload(client, bundle.read_bytes()).json()
    with open_control() as client:
        assert client.get("/v1/decoders").json() == [decoder]


def test_delete(client: TestClient, decoder: str, control_dir: Path) -> None:
    assert client.delete(f"/v1/decoders/{decoder}").status_code == 204
    assert client.get("/v1/decoders").json() == []
    assert left_over(control_dir) == []
    missing = client.delete(f"/v1/decoders/{decoder}")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    assert "there is: none yet" in missing.json()["detail"]


def test_delete_of_a_decoder_in_use(client: TestClient, decoder: str) -> None:
    client.post("/v1/sessions", json={"name": "m1", "stream": {"name": "M1"}, "decoder": decoder})
    refused = client.delete(f"/v1/decoders/{decoder}")
    assert refused.status_code == 409
    assert refused.json()["used_by"] == ["m1"]
    assert client.get(f"/v1/decoders/{decoder}/file").status_code == 200


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_file_that_is_not_a_bundle(client: TestClient, data: bytes, control_dir: Path) -> None:
    answer = upload(client, data, "mine.bmi")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "file"
    assert "mine.bmi" in answer.json()["detail"]
    assert str(control_dir) not in answer.text
    assert left_over(control_dir) == []


def test_truncated_bundle(client: TestClient, bundle: Path, control_dir: Path) -> None:
    assert upload(client, bundle.read_bytes()[:-20]).status_code == 422
    assert left_over(control_dir) == []


@pytest.mark.parametrize("declared", [True, False])
def test_oversize_upload(open_control: OpenControl, control_dir: Path, declared: bool) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    pieces = [form, *[bytes(60_000)] * 4, b"\r\n--x--\r\n"]

    def stream() -> Iterator[bytes]:
        yield from pieces

    with open_control(max_upload_bytes=100_000) as client:
        answer = client.post(
            "/v1/decoders",
            content=b"".join(pieces) if declared else stream(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )
        assert answer.status_code == 413
        assert "100,000 bytes" in answer.json()["detail"]
        assert left_over(control_dir) == []


def test_requests_that_are_not_an_upload(client: TestClient, control_dir: Path) -> None:
    for answer, words in (
        (client.post("/v1/decoders", json={}), "multipart/form-data"),
        (client.post("/v1/decoders", files={"model": b"x"}), "unknown field; allowed: file"),
        (client.post("/v1/decoders", files=[("file", b"x"), ("file", b"y")]), "given twice"),
        (
            client.post(
                "/v1/decoders",
                content=b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc',
                headers={"Content-Type": "multipart/form-data; boundary=x"},
            ),
            "cut short",
        ),
        (
            client.post("/v1/decoders", content=b"zzz", headers={"Content-Type": "multipart/form-data; boundary=x"}),
            "not a valid multipart form",
        ),
    ):
        assert answer.status_code == 422
        assert words in answer.json()["detail"]
    assert left_over(control_dir) == []


def test_file_name_is_only_a_label(client: TestClient, bundle: Path, control_dir: Path) -> None:
    answer = upload(client, bundle.read_bytes(), "../../../../tmp/evil.bmi")
    assert answer.json()["file_name"] == "evil.bmi"
    assert left_over(control_dir) == [f"{answer.json()['id']}.bmi"]


def test_unfinished_uploads_are_cleared_at_the_start(open_control: OpenControl, control_dir: Path) -> None:
    (control_dir / "uploads").mkdir(parents=True)
    (control_dir / "uploads" / "x.part").write_bytes(b"x")
    with open_control():
        assert left_over(control_dir) == []


def test_what_a_kill_left_between_file_and_row_is_cleared(
    open_control: OpenControl, bundle: Path, control_dir: Path
) -> None:
    with open_control() as client:
        decoder = client.post("/v1/decoders", files={"file": bundle.read_bytes()}).json()["id"]
    stored = control_dir / "decoders" / f"{decoder}.bmi"
    orphan = control_dir / "recordings" / "0123456789abcdef.npz"
    orphan.write_bytes(b"x")
    for name, path in (("a.part", stored), ("b.npz", orphan)):
        (control_dir / "uploads" / name).hardlink_to(path)
    with open_control() as client:
        assert client.get(f"/v1/decoders/{decoder}/file").content == bundle.read_bytes()
    assert list((control_dir / "recordings").iterdir()) == list((control_dir / "uploads").iterdir()) == []
