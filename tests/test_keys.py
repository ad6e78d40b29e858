"""Keys on disk: files that ZeroMQ's libraries read, and whose they are."""

from __future__ import annotations

import contextlib
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq.auth

from bmi_decoder.cli import main
from bmi_decoder.config import SessionSettings, StreamSettings, WorkerSettings
from bmi_decoder.errors import InputError
from bmi_decoder.keys import KeyPair, is_key, read_pair, read_public, write_pair
from services.keys import KeyFolder


def test_a_pair_is_what_other_libraries_read(tmp_path: Path) -> None:
    pair = KeyPair.generate()
    assert pair.secret not in repr(pair)
    secret, public = write_pair(tmp_path / "new", "ann", pair)
    assert read_pair(secret) == pair and read_public(public) == read_public(pair.public) == pair.public
    assert zmq.auth.load_certificate(secret) == (pair.public.encode(), pair.secret.encode())
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="there is a key"):
        write_pair(tmp_path / "new", "ann", pair)


def test_files_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    secret, public = write_pair(tmp_path, "ann", KeyPair.generate())
    secret.chmod(0o640)
    with pytest.raises(InputError, match="can be read by others"):
        read_pair(secret)
    with pytest.raises(InputError, match="public half alone"):
        read_pair(public)
    for content in (
        b"",
        b"curve\n",
        b"public-key\n",
        b'public-key = "short"\n',
        b"\xff\xfe" * 20,
        b"public-key = \xff",
    ):
        public.write_bytes(content)
        with pytest.raises(InputError, match="not a file with a CURVE key"):
            read_public(public)
    with pytest.raises(InputError, match="neither a file nor a CURVE key"):
        read_public("nothing")
    with pytest.raises(InputError, match="cannot read key"):
        read_pair(tmp_path / "nothing")
    assert not is_key("~" * 40) and not is_key("é" * 40) and not is_key("")


def test_a_folder_keeps_its_keys(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys")
    folder.create()
    server, service = folder.server(), folder.service()
    folder.create()
    assert (folder.server(), folder.service()) == (server, service) and server != service
    assert read_public(folder.path / "server.key") == server.public
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder.path, *folder.path.glob("*.key_secret"))] == [
        0o700,
        0o600,
        0o600,
    ]
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "allowed", "server.key", "server.key_secret", "service.key_secret",
    ]  # fmt: skip


def test_a_folder_is_made_by_several_at_once(tmp_path: Path) -> None:
    """Sessions that start together, and the command line beside them."""
    at_once = 4
    for k in range(10):
        folder, begin = KeyFolder(tmp_path / f"keys{k}"), threading.Barrier(at_once)

        def create(folder: KeyFolder = folder, begin: threading.Barrier = begin) -> tuple[KeyPair, KeyPair]:
            begin.wait(20)
            folder.create()
            return folder.server(), folder.service()

        with ThreadPoolExecutor(at_once) as pool:
            found = {future.result() for future in [pool.submit(create) for _ in range(at_once)]}
        assert found == {(folder.server(), folder.service())}
        assert len(list(folder.path.iterdir())) == 4
        shown = (folder.path / "server.key").stat().st_mtime_ns
        folder.create()
        assert (folder.path / "server.key").stat().st_mtime_ns == shown


def test_names_stay_inside_the_folder(tmp_path: Path) -> None:
    folder = KeyFolder(tmp_path / "keys")
    folder.create()
    for name in ("../server", "", "a/b", ".hidden"):
        with pytest.raises(InputError):
            folder.allow(name, KeyPair.generate().public)
        with pytest.raises(InputError):
            folder.revoke(name)
    assert (folder.path / "server.key").exists()


def test_keys_from_the_command_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = tmp_path / "shared memory"
    shared.mkdir()
    monkeypatch.setattr("services.control.storage.places._SHARED_MEMORY", shared)
    data = ["--data-dir", str(tmp_path / "data")]
    assert main(["keys", "generate", "ann", "--out", str(tmp_path)]) == 0
    assert main(["keys", "allow", str(tmp_path / "ann.key"), *data]) == 0
    assert list(shared.iterdir()) == []  # nobody would remove it
    other = KeyPair.generate().public
    while other.startswith("-"):  # one in 85 would be taken for an option
        other = KeyPair.generate().public
    assert main(["keys", "allow", other, *data]) == 2
    assert main(["keys", "allow", other, "--name", "ann", *data]) == 2
    assert main(["keys", "allow", other, "--name", "bob", *data]) == 0
    (tmp_path / "data" / "keys" / "allowed" / "broken.key").write_text("nothing")
    capsys.readouterr()
    assert main(["keys", "list", *data]) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = KeyFolder(tmp_path / "data" / "keys")
    assert lines[0].split()[:2] == ["server", folder.server().public]
    assert [line.split() for line in lines[1:]] == [
        ["allowed", read_public(tmp_path / "ann.key"), "ann"], ["allowed", other, "bob"],
    ]  # fmt: skip
    assert "broken.key" in caplog.text
    former = folder.server()
    assert main(["keys", "rotate", *data]) == 0 and folder.server() != former
    assert main(["keys", "revoke", "ann", *data]) == 0 and list(folder.allowed()) == ["bob"]
    assert main(["keys", "revoke", "ann", *data]) == 2
    with pytest.raises(SystemExit):
        main(["keys", "revoke"])
    for action in ("disconnect", "list", "rotate"):
        with pytest.raises(SystemExit):
            main(["keys", action, "ann", *data])
        assert f"{action} takes no NAME" in capsys.readouterr().err


def test_sessions_that_cannot_be_told_to_disconnect_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disconnect = ["keys", "disconnect", "--data-dir", str(tmp_path)]
    session = SessionSettings(name="deaf", stream=StreamSettings(name="M1"), decoder="d")
    deaf = WorkerSettings(session=session, bundle="x", flight="x", keys="keys").model_dump_json()
    with contextlib.ExitStack() as running:
        for name, content in (("deaf", deaf), ("former", "{}")):
            settings = tmp_path / "sessions" / name / "worker.json"
            settings.parent.mkdir(parents=True)
            settings.write_text(content)
        assert main(disconnect) == 0 and capsys.readouterr().err == ""
        for settings in tmp_path.glob("sessions/*/worker.json"):
            command = [sys.executable, "-c", "input()", "-m", "services.worker", str(settings)]
            worker = running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
            running.callback(worker.kill)
        assert main(disconnect) == 1
    said = capsys.readouterr().err
    assert "deaf: takes no commands; stop and start it" in said
    assert "former: its worker.json is none of this version; stop and start it" in said
