"""A worker's endpoint with CURVE: who is let in, and what the others are told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bmi_decoder.client import ALL_TOPICS, AccessError, Subscriber
from bmi_decoder.errors import InputError
from bmi_decoder.keys import KeyPair
from bmi_decoder.wire import EstimatePacker, Variant
from services.keys import KeyFolder
from services.worker.disconnect import disconnect
from services.worker.publisher import Publisher

Publishing = Callable[[KeyFolder | None], Publisher]


@pytest.fixture
def keys(tmp_path: Path) -> KeyFolder:
    folder = KeyFolder(tmp_path / "keys")
    folder.create()
    return folder


@pytest.fixture
def publishing() -> Iterator[Publishing]:
    """Publishes an estimate every few milliseconds until the test is over."""
    live: list[tuple[Publisher, threading.Thread]] = []
    over = threading.Event()

    def start(keys: KeyFolder | None) -> Publisher:
        publisher = Publisher("tcp://127.0.0.1:0", keys)

        def publish() -> None:
            packer, sequence = EstimatePacker((Variant.raw,), 2), 0
            while not over.wait(0.005):
                publisher.send(packer.pack(sequence, sequence, 0.0, 0.0, 0, 1, (0.0,)))
                sequence += 1

        thread = threading.Thread(target=publish)
        thread.start()
        live.append((publisher, thread))
        return publisher

    yield start
    over.set()
    for publisher, thread in live:
        thread.join()
        publisher.close()


def test_looking_for_connections_leaves_nothing_open(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = os.listdir("/proc/self/fd")
        assert disconnect(1) == 0
        assert os.listdir("/proc/self/fd") == before
    finally:
        os.close(folder)


def receives(publisher: Publisher, **keys: str | KeyPair) -> bool:
    with Subscriber(publisher.endpoint, ALL_TOPICS, **keys) as subscriber:  # type: ignore[arg-type]
        return subscriber.receive(20.0) is not None


def test_allowed_keys_are_let_in_until_they_are_revoked(keys: KeyFolder, publishing: Publishing) -> None:
    ann, bob = KeyPair.generate(), KeyPair.generate()
    publisher = publishing(keys)
    assert publisher.server_key == keys.server().public
    with pytest.raises(AccessError, match="does not let this key in"):
        receives(publisher, server_key=publisher.server_key, key=ann)
    keys.allow("ann", ann.public)
    keys.allow("bob", bob.public)
    with Subscriber(publisher.endpoint, ALL_TOPICS, server_key=publisher.server_key, key=bob) as other:
        assert other.receive(20.0) is not None
        assert receives(publisher, server_key=publisher.server_key, key=ann)
        keys.revoke("ann")
        with pytest.raises(AccessError, match="does not let this key in"):
            receives(publisher, server_key=publisher.server_key, key=ann)
        # Whoever is refused is nobody else's loss.
        for _ in range(20):
            assert other.receive(20.0) is not None
        assert other.lost == 0
    assert receives(publisher, server_key=publisher.server_key, key=keys.service())


def test_who_is_revoked_is_cut_off_and_the_others_are_back(keys: KeyFolder, publishing: Publishing) -> None:
    """ZeroMQ keeps a connection that stands, whatever becomes of its key."""
    ann, bob = KeyPair.generate(), KeyPair.generate()
    publisher, plain = publishing(keys), publishing(None)
    keys.allow("ann", ann.public)
    keys.allow("bob", bob.public)
    at = publisher.endpoint
    with (
        Subscriber(at, ALL_TOPICS, server_key=publisher.server_key, key=ann) as revoked,
        Subscriber(at, ALL_TOPICS, server_key=publisher.server_key, key=bob) as other,
        Subscriber(plain.endpoint, ALL_TOPICS) as third,
    ):
        for subscriber in (revoked, other, third):
            assert subscriber.receive(20.0) is not None
        keys.revoke("ann")
        assert revoked.receive(20.0) is not None
        files = len(os.listdir("/proc/self/fd"))
        assert publisher.disconnect() == 2 and plain.disconnect() == 0
        assert len(os.listdir("/proc/self/fd")) <= files
        with pytest.raises(AccessError, match="does not let this key in"):
            while True:
                revoked.receive(20.0)
        while other.lost == 0:  # the sequence shows what was missed
            assert other.receive(20.0) is not None
        assert third.receive(20.0) is not None and third.lost == 0


def test_the_wrong_server_key_and_none_are_told_apart(keys: KeyFolder, publishing: Publishing) -> None:
    ann = KeyPair.generate()
    keys.allow("ann", ann.public)
    publisher, plain = publishing(keys), publishing(None)
    assert plain.server_key == "" and receives(plain)
    with pytest.raises(AccessError, match="it is encrypted, or no session"):
        receives(publisher)
    with pytest.raises(AccessError, match="another key than the server_key that was given"):
        receives(publisher, server_key=KeyPair.generate().public, key=ann)
    with pytest.raises(AccessError, match="leave out the keys"):
        receives(plain, server_key=publisher.server_key, key=ann)
    with (
        Subscriber(publisher.endpoint) as subscriber,
        pytest.raises(AccessError, match="it is encrypted"),
    ):
        subscriber.wait_connected(20.0)
    with pytest.raises(InputError, match="needs two keys"):
        receives(publisher, server_key=publisher.server_key)


def test_a_new_key_of_the_server_holds_for_new_workers(keys: KeyFolder, publishing: Publishing) -> None:
    former, ann = keys.server(), KeyPair.generate()
    keys.allow("ann", ann.public)
    running = publishing(keys)
    new = keys.rotate()
    assert new.public != former.public
    assert receives(running, server_key=former.public, key=ann)
    started = publishing(keys)
    assert started.server_key == new.public
    assert receives(started, server_key=keys.path / "server.key", key=ann)  # type: ignore[arg-type]
    with pytest.raises(AccessError, match="may have a new one"):
        receives(started, server_key=former.public, key=ann)


def test_nobody_is_let_in_when_the_folder_cannot_be_read(
    keys: KeyFolder, publishing: Publishing, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = publishing(keys)
    service = keys.service()
    (keys.path / "service.key_secret").unlink()
    with pytest.raises(AccessError, match="does not let this key in"):
        receives(publisher, server_key=publisher.server_key, key=service)
    assert "nobody can subscribe" in caplog.text


def test_a_worker_without_keys_loads_no_module_for_them() -> None:
    code = (
        "import sys; from services.worker.publisher import Publisher; import services.worker.process;"
        "Publisher('tcp://127.0.0.1:0').close();"
        "print({'zmq.auth.thread', 'services.keys', 'services.worker.access'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
