"""The FastAPI application of the control plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer

from services.control.access.security import Guard
from services.control.context import Control
from services.control.decoders import routes as decoders
from services.control.decoders.library import Library
from services.control.events import routes as events
from services.control.events.announcer import Announcer
from services.control.events.log import EventLog
from services.control.jobs import outcome as job_outcome
from services.control.jobs import routes as jobs
from services.control.jobs.calibrate import CalibrateJob
from services.control.jobs.export import ExportJob
from services.control.jobs.kind import JobKind
from services.control.jobs.runner import JobRunner
from services.control.jobs.train import TrainJob
from services.control.jobs.training_stage import Training
from services.control.metrics.collection import Metrics
from services.control.recordings import routes as recordings
from services.control.recordings import session_routes as session_recordings
from services.control.recordings.announcer import RecordingAnnouncer
from services.control.recordings.library import RecordingLibrary
from services.control.recordings.recorders import SessionRecorders
from services.control.rest import docs_page, health, openapi, problem, streams
from services.control.sessions import routes as sessions
from services.control.sessions.supervisor import Supervisor
from services.control.settings import ControlSettings, check_access
from services.control.storage.database import Database
from services.control.storage.database_watch import DatabaseWatch
from services.control.storage.job_store import JobStore
from services.control.storage.places import DataDirectory, exclusive
from services.control.storage.recording_store import RecordingStore
from services.control.storage.store import Store
from services.dashboard.entry import install as install_dashboard
from services.keys import KeyFolder

_ABOUT = (
    "Live decoding of neural streams: upload decoders, create sessions, start and stop them. Estimates are "
    "published over ZeroMQ on each session's endpoint. Errors are `application/problem+json` (RFC 9457)."
)


def create_app(settings: ControlSettings) -> FastAPI:
    """The control plane as an ASGI application.

    Its lifespan takes the data directory for itself, finds or starts the workers of the sessions that should
    run, and at the end stops them.

    Raises
    ------
    InputError
        If it would be open to other machines without a sufficient token.
    """
    check_access(settings)
    app = FastAPI(
        title="bmi-decoder",
        version=health.service_version(),
        description=_ABOUT,
        lifespan=_lifespan(settings),
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_middleware(Guard, settings=settings)
    problem.install(app)
    docs_page.install(app)
    guarded = [Security(HTTPBearer(auto_error=False))] if settings.guarded else []
    app.include_router(health.router)
    for module in (decoders, recordings, sessions, session_recordings, streams, jobs, job_outcome, events):
        app.include_router(module.router, dependencies=guarded)
    install_dashboard(app, settings)
    openapi.install(app, settings.guarded)
    return app


def _lifespan(settings: ControlSettings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        places = DataDirectory.create(settings.data_dir)
        with ExitStack() as held:
            held.enter_context(exclusive(places.root))
            held.callback(places.release_shared_memory)
            database = Database(settings.database or f"sqlite:///{places.database}")
            held.callback(database.close)
            control = app.state.control = _assemble(settings, places, database)
            places.remove_unfinished_uploads(control.holds)
            try:
                await control.supervisor.open()
                await control.jobs.open()
                announcer = Announcer(control.store, control.supervisor, control.events, KeyFolder(places.keys))
                async with (
                    announcer.running(),
                    control.metrics.running(),
                    control.database.running(),
                    control.recorders.running(),
                ):
                    yield
            finally:
                control.events.close()
                await control.jobs.close()
                await control.recorders.close()
                await control.supervisor.close()

    return lifespan


def _assemble(settings: ControlSettings, places: DataDirectory, database: Database) -> Control:
    store, job_store, event_log = Store(database), JobStore(database), EventLog()
    library = Library(places, store)
    recording_library = RecordingLibrary(places, RecordingStore(database), job_store)
    supervisor = Supervisor(places, store, event_log, settings.start_wait_s)
    training = Training(places, library, store)
    kinds: dict[str, JobKind[Any]] = {
        "train": TrainJob(training, recording_library),
        "calibrate": CalibrateJob(training, recording_library, store),
        "export": ExportJob(recording_library),
    }
    return Control(
        settings,
        places,
        store,
        library,
        supervisor,
        event_log,
        recording_library,
        job_store,
        JobRunner(kinds, places, job_store, event_log),
        Metrics(store, job_store, supervisor, event_log, health.service_version()),
        SessionRecorders(places, recording_library, RecordingAnnouncer(event_log)),
        DatabaseWatch(database, store),
    )
