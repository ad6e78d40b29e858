"""Downloads from a server on this machine that is right, wrong, or breaks off."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmi_decoder import download as module
from bmi_decoder.cli import main
from bmi_decoder.errors import BmiError
from bmi_decoder.formats import odoherty_sessions

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "indy_20160622_01"


class Server(http.server.ThreadingHTTPServer):
    """`served` is what it sends; after `breaks_after` bytes it hangs up; `ranges` says whether it can go on."""

    daemon_threads = True
    served = CONTENT
    breaks_after: int | None = None
    ranges = True
    asked: list[str | None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        if self.path != f"/files/{NAME}.mat":
            return self.send_error(404)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start and start >= len(self.server.served):
            return self.send_error(416)
        body = self.server.served[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(odoherty_sessions.SESSIONS, NAME, MD5)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _run(server: Server, out: Path) -> int:
    return main(["download", "odoherty", "--session", NAME, "--out", str(out), "--url", server.url])


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_session_is_fetched_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(server, tmp_path / "new") == 0
    assert (tmp_path / "new" / f"{NAME}.mat").read_bytes() == CONTENT
    assert _run(server, tmp_path / "new") == 0
    assert server.asked == [None]
    assert _files(tmp_path / "new") == [f"{NAME}.mat"]
    assert "was there already" in capsys.readouterr().err


def test_a_wrong_checksum_deletes_what_came(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.served = CONTENT[:-1] + b"x"
    assert _run(server, tmp_path) == 1
    assert _files(tmp_path) == []
    error = capsys.readouterr().err
    assert f"{NAME}.mat: the checksum is wrong" in error
    assert MD5 in error


def test_a_damaged_file_is_replaced_only_by_a_right_one(server: Server, tmp_path: Path) -> None:
    path = tmp_path / f"{NAME}.mat"
    path.write_bytes(b"old")
    server.served = b"wrong"
    assert _run(server, tmp_path) == 1
    assert path.read_bytes() == b"old"
    server.served = CONTENT
    assert _run(server, tmp_path) == 0
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_a_transfer_that_broke_off_goes_on(
    ranges: bool, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.breaks_after, server.ranges = 300_000, ranges
    assert _run(server, tmp_path) == 1
    assert "What has come is kept: run this again to go on" in capsys.readouterr().err
    assert _files(tmp_path) == [f".{NAME}.mat.part"]
    server.breaks_after = None
    assert _run(server, tmp_path) == 0
    assert (tmp_path / f"{NAME}.mat").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=300000-"]


def test_a_rest_that_does_not_fit_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.mat.part").write_bytes(b"z" * (len(CONTENT) + 5))
    assert _run(server, tmp_path) == 0
    assert _files(tmp_path) == [f"{NAME}.mat"]


def test_a_file_that_is_not_there(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.url + "/elsewhere"
    assert main(["download", "odoherty", "--session", NAME, "--out", str(tmp_path), "--url", url]) == 1
    assert "the server answers 404 (Not Found)" in capsys.readouterr().err
    assert _files(tmp_path) == []


def test_nobody_listens(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://127.0.0.1:1/files"
    assert main(["download", "odoherty", "--session", NAME, "--out", str(tmp_path), "--url", url]) == 1
    assert "the server cannot be reached" in capsys.readouterr().err
    assert _files(tmp_path) == []


def test_a_second_process_waits_its_turn(server: Server, tmp_path: Path) -> None:
    with module._held(tmp_path / f".{NAME}.mat.part"), pytest.raises(BmiError, match="another process is downloading"):
        module.download(f"{server.url}/{NAME}.mat", tmp_path / f"{NAME}.mat", MD5)


def test_a_server_that_never_ends(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(BmiError, match="larger than 1000 bytes"):
        module.download(f"{server.url}/{NAME}.mat", tmp_path / f"{NAME}.mat", MD5)


def test_what_cannot_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "odoherty", "--session", "indy_1999", "--out", str(tmp_path)]) == 2
    assert "no checksum is known for session 'indy_1999'; there is one for indy_20160622_01" in capsys.readouterr().err
    assert main(["download", "odoherty", "--session", NAME, "--url", "file:///etc"]) == 2


def test_the_published_checksums() -> None:
    assert len(odoherty_sessions.SESSIONS) == 6
    assert odoherty_sessions.SESSIONS["loco_20170301_05"] == "47342da09f9c950050c9213c3df38ea3"
    assert odoherty_sessions.RECORD_URL == "https://zenodo.org/records/583331/files"
