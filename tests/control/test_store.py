"""What the store has in memory is what the database has."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import DatabaseError

from bmi_decoder.config import SessionSettings
from services.control.clock import now
from services.control.storage.database import Database
from services.control.storage.store import Store
from services.control.storage.tables import DecoderRow
from tests.control.test_database import file as file
from tests.control.test_database import server as server
from tests.control.test_database import url as url
from tests.control.test_sessions import body

FILTERS = {"low_latency": {"cutoff_hz": 6.25}}


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> Store:
    store = Store(database)
    for name in ("a", "b"):
        manifest = {"bin_s": 0.004, "output_filters": FILTERS if name == "a" else {}}
        store.add_decoder(
            DecoderRow(id=name, sha256=name, size_bytes=1, file_name=name, uploaded_at=now(), manifest=manifest)
        )
    assert store.add_session(settings("a")) is not None
    return store


def settings(decoder: str, **other: object) -> SessionSettings:
    return SessionSettings.model_validate(body(decoder) | other)


def check(store: Store, database: Database) -> None:
    assert store.sessions() == Store(database).sessions()


def test_every_change_is_in_both(store: Store, database: Database) -> None:
    tags = set()
    for change in (
        lambda: store.change_session("m1", wanted=True, last={"state": "died"}),
        lambda: store.replace_settings("m1", settings("a", gap_policy="zero"), "x"),
        lambda: store.replace_settings("m1", settings("b"), "x"),
        lambda: store.adopt("m1", store.add_trial("m1", settings("a"), "x").revision),
        lambda: store.replace_settings("m1", settings("a", masked_channels=[3]), "x"),
        lambda: store.adopt("m1", store.add_trial("m1", settings("a", masked_channels=[5]), "x").revision),
    ):
        given = change()
        assert given == store.session("m1")
        check(store, database)
        tags.add(given.etag)
    assert len(tags) == 6
    assert given.settings.masked_channels == (5,)
    assert given.variants == ("raw", "low_latency")
    assert store.add_session(settings("a")) is None
    store.remove_session("m1")
    check(store, database)
    assert store.session("m1") is None


def test_a_change_that_is_refused_is_in_neither(store: Store, database: Database) -> None:
    before = store.session("m1")
    with pytest.raises(DatabaseError):
        store.change_session("m1", decoder=None)
    with pytest.raises(KeyError):
        store.change_session("m2", wanted=True)
    assert store.add_session(settings("gone", name="m2")) is None
    assert store.sessions() == [before]
    check(store, database)


def test_changes_at_once(store: Store, database: Database) -> None:
    def change(restarts: int) -> None:
        for k in range(20):
            store.change_session("m1", restarts=restarts + k)

    threads = [threading.Thread(target=change, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(store, database)
