"""The database under the store: its steps, and PostgreSQL in SQLite's place."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from bmi_decoder.client import ControlError
from bmi_decoder.errors import BmiError, InputError
from services.control.storage.database import Database, DatabaseTakenError
from services.control.storage.database_watch import DatabaseWatch
from services.control.storage.store import Store
from services.control.storage.tables import Base
from tests.control import postgres
from tests.control.conftest import OpenControl
from tests.control.test_serve import Serve, serve
from tests.control.test_sessions import body

__all__ = ["serve"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "control.sqlite"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if not postgres.installed():
        pytest.skip("needs PostgreSQL")
    with postgres.running() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def url(request: pytest.FixtureRequest, file: Path) -> Iterator[str]:
    """URL of an empty database of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{file}"
        return
    server = request.getfixturevalue("server")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE one"))
    yield server.replace("/postgres?", "/one?")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE one WITH (FORCE)"))
    engine.dispose()


def differences(url: str) -> list[Any]:
    """What the tables of a database lack, or have too much, beside those that the code works with."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), Base.metadata)
    engine.dispose()
    return list(found)


def test_the_steps_lead_to_the_tables_that_the_code_works_with(url: str) -> None:
    for _ in range(2):
        Database(url).close()
        assert differences(url) == []


@pytest.mark.parametrize("version", [1, 2, 3])
def test_files_of_earlier_versions(open_control: OpenControl, bundle: Path, control_dir: Path, version: int) -> None:
    filters = {"output_filters": {"low_latency": {"cutoff_hz": 5}}}
    with open_control() as client:
        decoder = client.post("/v1/decoders", files={"file": bundle.read_bytes()}).json()["id"]
        client.post("/v1/sessions", json=body(decoder) | filters)
        known = [client.get(path).json() for path in ("/v1/sessions/m1", "/v1/sessions/m1/revisions")]
    file = control_dir / "control.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        later = {"revisions": 2, "recordings": 3, "jobs": 3, "alembic_version": 9}
        for table in [table for table, since in later.items() if since > version]:
            connection.execute(f"DROP TABLE {table}")
        if version > 1:
            connection.execute("ALTER TABLE revisions DROP COLUMN masked_channels")
        connection.execute("UPDATE sessions SET settings = json_remove(settings, '$.masked_channels')")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
    with open_control() as client:
        found = [client.get(path).json() for path in ("/v1/sessions/m1", "/v1/sessions/m1/revisions")]
        assert found[1] == known[1]
        # The tag is that of what is stored, which says nothing of a mask until the next change.
        assert found[0] | {"etag": ""} == known[0] | {"etag": ""}
        masked = client.patch("/v1/sessions/m1", json={"masked_channels": [1]}).json()
        assert (masked["revision"], masked["settings"]["masked_channels"]) == (2, [1])
        assert client.get("/v1/jobs").json() == client.get("/v1/recordings").json() == []
    assert differences(f"sqlite:///{file}") == []


def test_a_database_of_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    Database(url).close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BmiError, match="newer version") as caught:
        Database(url)
    assert "9999" in str(caught.value) and "update bmi-decoder" in str(caught.value)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    engine.dispose()


def test_a_file_that_counts_further_than_we_ever_did(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 4")
    with pytest.raises(BmiError, match="newer version"):
        Database(f"sqlite:///{file}")


def test_somebody_elses_database_is_left_alone(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE patients (id INTEGER)"))
    with pytest.raises(BmiError, match="other tables already \\(patients\\)"):
        Database(url)
    engine.dispose()


def test_a_step_that_fails_leaves_nothing_half_done(file: Path) -> None:
    """A table in the way of the last step."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE jobs (id INTEGER)")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE sessions (name, revision, decoder, settings, created_at)")
        connection.commit()
        with pytest.raises(BmiError, match="jobs"):
            Database(f"sqlite:///{file}")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"jobs", "sessions"}


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "", "oracle://secret:password@x"])
def test_databases_of_other_kinds_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="postgresql://user:password@host/name") as caught:
        Database(url)
    assert "password@x" not in str(caught.value)


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(BmiError, match="see that the server runs") as caught:
        Database(f"postgresql://bmi:secret@/x?host={tmp_path}")
    assert "secret" not in str(caught.value)


@pytest.mark.system
def test_a_control_plane_on_postgresql(
    open_control: OpenControl, server: str, bundle: Path, other_bundle: Path
) -> None:
    with open_control(database=server) as client:
        decoder, other = (
            client.post("/v1/decoders", files={"file": path.read_bytes()}).json()["id"]
            for path in (bundle, other_bundle)
        )
        assert client.post("/v1/sessions", json=body(decoder)).status_code == 201
        assert client.post("/v1/sessions", json=body(decoder)).status_code == 409
        assert client.delete(f"/v1/decoders/{decoder}").status_code == 409
        assert client.patch("/v1/sessions/m1", json={"decoder": other}).json()["revision"] == 2
        assert client.delete(f"/v1/decoders/{decoder}").status_code == 204
        pages = client.get("/v1/sessions/m1/revisions?limit=1")
        assert client.get(pages.links["next"]["url"]).json()[0]["revision"] == 2
        assert client.get("/v1/decoders/%00").status_code in (404, 422)
        with pytest.raises(BmiError, match="in use by another"):
            Database(server)
        status = client.get("/v1/sessions/m1").json()
    with open_control(database=server) as client:
        assert client.get("/v1/sessions/m1").json() == status
        assert client.delete("/v1/sessions/m1").status_code == 204


@pytest.mark.system
def test_a_lost_hold_is_taken_again_or_nothing_is_written(server: str) -> None:
    database = Database(server)
    store = Store(database)
    watch = DatabaseWatch(database, store)
    assert watch.check() == ""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    # It waits for their end: until then they hold the lock.
    others = text(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with engine.connect() as connection:
        connection.execute(others)
        assert watch.check() == ""
        with pytest.raises(BmiError, match="in use by another"):
            Database(server)
        connection.execute(others)
        second = Database(server)
        assert "in use by another" in watch.check()
        with pytest.raises(DatabaseTakenError):
            store.remove_session("m1")
        second.close()
        assert watch.check() == ""
        store.remove_session("m1")
    engine.dispose()
    database.close()


@pytest.mark.system
def test_a_hold_that_is_lost_during_a_change_is_noticed(server: str) -> None:
    database = Database(server)
    times_held = database.hold()
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with pytest.raises(OperationalError), database.write() as session, engine.connect() as connection:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
        session.execute(text("SELECT 1"))
    second = Database(server)
    with pytest.raises(DatabaseTakenError), database.write():
        pass
    second.close()
    assert database.hold() == times_held + 1
    with pytest.raises(BmiError, match="in use by another"):
        Database(server)
    engine.dispose()
    database.close()


@pytest.mark.system
def test_a_killed_control_plane_has_lost_nothing_that_it_acknowledged(serve: Serve, bundle: Path) -> None:
    for _ in range(3):
        server = serve()
        decoder = server.client.upload_decoder(bundle).id
        if not server.client.sessions():
            server.client.create_session("m1", "M1", decoder)
        acknowledged: list[float] = []

        def change(client: Any = server.client, acknowledged: list[float] = acknowledged) -> None:
            try:
                for gap in range(1, 100_000):
                    acknowledged.append(client.change_session("m1", max_gap_s=gap).settings.max_gap_s)
            except ControlError:
                pass  # it has been killed

        changing = threading.Thread(target=change)
        changing.start()
        while len(acknowledged) < 20:
            assert changing.is_alive()
        server.process.kill()
        changing.join()
        server = serve()
        assert server.client.session("m1").settings.max_gap_s in (acknowledged[-1], acknowledged[-1] + 1)
        server.process.kill()
        server.process.wait()
